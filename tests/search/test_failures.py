"""What went wrong with a trial, told from exceptions and from Ray's words."""

from __future__ import annotations

import errno

import pytest
import torch

from search.failures import death, described, kind_of, ran_out_of_memory
from search.pulse import Held

ACTOR_DIED = """\x1b[36mray::MinbertTrial.train()\x1b[39m (pid=12, ip=127.0.0.1)
The actor died unexpectedly before finishing this task.
\tclass_name: MinbertTrial
\tactor_id: 5fd0d2e3
\tpid: 12
The actor died because its worker process has died. Worker exit type: SYSTEM_ERROR
"""
GAVE_UP = """\x1b[36mray::MinbertTrial.train()\x1b[39m (pid=12, ip=127.0.0.1, actor_id=5f, repr=<Trial>)
  File "trainable.py", line 9, in step
    raise error
torch.AcceleratorError: CUDA error: an illegal memory access was encountered
"""
LOW_MEMORY = """Task was killed due to the node running low on memory.
Memory on the node (IP: 127.0.0.1) was 31.10GB / 32.00GB (0.97), which exceeds the threshold of 0.95.
"""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError("no room"), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: 4 bytes"), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "process"),
        (OSError(errno.ESTALE, "Stale file handle"), "process"),
        (Held("another process still trains this trial"), "process"),
        (OSError(errno.ENOENT, "No such file or directory"), "error"),
        (RuntimeError("shapes differ"), "error"),
        (ZeroDivisionError("division by zero"), "error"),
    ],
)
def test_kinds(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


def test_an_exception_keeps_type_message_and_traceback() -> None:
    try:
        raise ValueError("boom\nmore")
    except ValueError as raised:
        error = described(raised)
    assert (error.type, error.message) == ("ValueError", "boom\nmore")
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert 'raise ValueError("boom\\nmore")' in error.traceback
    assert error.traceback.endswith("ValueError: boom\nmore")


def test_a_process_that_died() -> None:
    error = death(ACTOR_DIED)
    assert (error.type, ran_out_of_memory(ACTOR_DIED)) == ("ProcessDied", False)
    assert error.message == "The actor died because its worker process has died. Worker exit type: SYSTEM_ERROR"
    assert "\x1b" not in error.traceback
    assert "class_name: MinbertTrial" in error.traceback


def test_a_process_that_gave_up_by_an_exception() -> None:
    error = death(GAVE_UP)
    assert error.type == "AcceleratorError"
    assert error.message == "CUDA error: an illegal memory access was encountered"


def test_a_process_that_was_killed_to_save_the_machine() -> None:
    error = death(LOW_MEMORY)
    assert ran_out_of_memory(LOW_MEMORY)
    assert error.type == "OutOfMemoryError"
    assert "low on memory" in error.traceback


@pytest.mark.parametrize(("text", "message"), [("", "no further word from Ray"), ("odd\nwords\n", "words")])
def test_words_that_tell_no_cause(text: str, message: str) -> None:
    assert (death(text).type, death(text).message) == ("ProcessDied", message)
