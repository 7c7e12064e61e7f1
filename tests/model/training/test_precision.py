"""Which number format `--precision` comes to."""

import pytest
import torch

from model.training.precision import autocast, resolve_precision
from tests.support import refused

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("native_bf16", "expected"),
    [
        (True, {"auto": "bf16", "fp32": "fp32", "bf16": "bf16", "fp16": "fp16"}),  # Ampere and later
        (False, {"auto": "fp16", "fp32": "fp32", "bf16": "bf16", "fp16": "fp16"}),  # T4: emulates bf16
    ],
)
def test_on_a_gpu(monkeypatch, native_bf16, expected):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: native_bf16 or including_emulation
    )
    assert {asked: resolve_precision(asked, CUDA) for asked in expected} == expected


@pytest.mark.parametrize(
    ("capabilities", "auto"),
    [
        ({"avx512_bf16": True, "amx_bf16": False, "cpu_name": "AMD EPYC"}, "bf16"),
        ({"avx512_bf16": True, "amx_bf16": False, "cpu_name": "Intel Xeon"}, "fp32"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ({"avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({}, "fp32"),  # a processor of another make
    ],
)
def test_on_a_cpu(monkeypatch, capabilities, auto):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert {asked: resolve_precision(asked, CPU) for asked in ("auto", "fp32", "bf16")} == {
        "auto": auto, "fp32": "fp32", "bf16": "bf16",
    }  # fmt: skip


def test_fp16_on_a_cpu_is_refused():
    with refused("--precision fp16: for GPUs only; on a CPU allowed are auto, fp32 and bf16"):
        resolve_precision("fp16", CPU)


def test_the_processor_at_hand_is_one_of_the_two():
    assert resolve_precision("auto", CPU) in ("fp32", "bf16")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_autocast_computes_in_it(precision, dtype):
    weight = torch.nn.Linear(4, 4)
    with autocast(precision, CPU):
        assert weight(torch.ones(2, 4)).dtype == dtype
    assert weight.weight.dtype == torch.float32
