"""What exceptions say about the machine: real ones of a CPU, and those of CUDA in its own words."""

import numpy as np
import pytest
import torch

from model.training.failures import device_is_lost, is_out_of_memory

PETABYTE = 2**50
CUDA_ADVICE = "\nCUDA kernel errors might be asynchronously reported at some other API call."


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.empty(PETABYTE, dtype=torch.uint8),
        lambda: torch.ones(1).expand(PETABYTE).clone(),
        lambda: np.empty(PETABYTE, dtype=np.uint8),
        lambda: bytearray(PETABYTE),
    ],
    ids=["tensor", "copy", "array", "bytes"],
)
def test_a_petabyte_is_out_of_memory(allocate):
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    assert is_out_of_memory(caught.value)
    assert not device_is_lost(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        torch.AcceleratorError("CUDA error: out of memory" + CUDA_ADVICE),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
    ids=["torch", "driver", "cuBLAS", "cuDNN"],
)
def test_a_full_gpu_is_out_of_memory(error):
    assert is_out_of_memory(error)
    assert not device_is_lost(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered" + CUDA_ADVICE),
        torch.AcceleratorError("CUDA error: device-side assert triggered" + CUDA_ADVICE),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`"),
    ],
    ids=["memory access", "assert", "cuBLAS"],
)
def test_a_broken_context_is_a_lost_device(error):
    assert device_is_lost(error)
    assert not is_out_of_memory(error)


def test_all_else_says_nothing_about_the_machine():
    with pytest.raises(RuntimeError) as caught:
        _ = torch.ones(2) @ torch.ones(3)
    for error in (caught.value, ValueError("CUDA error: so says a user"), KeyboardInterrupt()):
        assert not is_out_of_memory(error)
        assert not device_is_lost(error)
