"""What training a configuration takes of a GPU's memory."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import torch

from model.config import TrialConfig
from model.data.tokens import Tokens
from model.network.pretrained import Encoder
from model.training.failures import is_out_of_memory
from model.training.loop import train
from model.training.precision import Precision

CONTEXT = 600 * 2**20
"""Bytes that CUDA and its libraries take in each process, whatever it computes: about that much on an H100."""


@dataclass(frozen=True)
class Memory:
    """Of one GPU, in bytes."""

    taken: int
    """By a process that trains, what CUDA itself needs in it included; all that is available where that was not
    enough."""
    available: int
    """To be taken: all but what other processes have."""


def measure(config: TrialConfig, tokens: Tokens, encoder: Encoder, *, precision: Precision) -> Memory:
    """Takes a step of `config` on the longest examples, and predicts some, on the GPU of this process, which must be
    training nothing else meanwhile."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    free, total = torch.cuda.mem_get_info()
    beside = total - free - torch.cuda.memory_reserved()  # CUDA's own of this process, and all that others have
    available = total - max(0, beside - CONTEXT)
    try:
        train(
            config, tokens, encoder, epochs=1, epoch_examples=1, seed=0, precision=precision, device="cuda"
        ).rehearse()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return Memory(available, available)
    return Memory(torch.cuda.max_memory_reserved() + CONTEXT, available)
