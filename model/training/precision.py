"""In which number format a trial computes. Weights and optimizer are always kept in fp32."""

from __future__ import annotations

from typing import Literal

import torch

from model.errors import UserError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""What a user asks for."""
ConcretePrecision = Literal["fp32", "bf16", "fp16"]
"""What a device computes in."""


def resolve_precision(precision: Precision, device: torch.device) -> ConcretePrecision:
    """What `precision` means on `device`. `auto`: bf16 where that is faster, fp16 on older GPUs, else fp32.

    Raises UserError for fp16 on a CPU, which has neither speed nor loss scaling to offer.
    """
    if device.type == "cuda":
        # Emulated bf16, which PyTorch also reports as supported, is slower than fp16 (a T4 has only the latter).
        native_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return precision if precision != "auto" else "bf16" if native_bf16 else "fp16"
    if precision == "fp16":
        raise UserError("--precision fp16: for GPUs only; on a CPU allowed are auto, fp32 and bf16")
    if precision == "auto":
        return "bf16" if _cpu_is_faster_in_bf16() else "fp32"
    return precision


def _cpu_is_faster_in_bf16() -> bool:
    """Those with AMX are, and AMD's with AVX-512's products of bf16. Intel's multiply so few of these at a time that
    fp32 is faster: a training step on a Xeon without AMX takes 1.4 to 1.5 times as long in bf16."""
    has = torch.cpu.get_capabilities()
    return bool(has.get("amx_bf16") or (has.get("avx512_bf16") and not has.get("cpu_name", "").startswith("Intel")))


def autocast(precision: ConcretePrecision, device: torch.device) -> torch.autocast:
    """The context in which forward passes run."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32")
