"""What an exception says about the machine: memory that ran out, and a GPU that can't be used any more."""

from __future__ import annotations

import torch

_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What torch's plain RuntimeErrors say of it, where they are no OutOfMemoryError: its allocator on a CPU, and CUDA and
its libraries where they ask for memory past torch's allocator."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or the host: with smaller batches the same may go well."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def device_is_lost(error: BaseException) -> bool:
    """Whether CUDA failed in a way that leaves this process no GPU, whatever it does next: only a new one helps."""
    if is_out_of_memory(error):
        return False
    failed = isinstance(error, RuntimeError) and str(error).startswith("CUDA error")
    return failed or isinstance(error, torch.AcceleratorError)
