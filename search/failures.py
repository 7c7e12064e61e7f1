"""What went wrong with a trial, in the ledger's terms.

An exception inside a trial is caught in its own process, with its type; of a process that died, Ray has a text only.
"""

from __future__ import annotations

import re
import traceback
from typing import Literal

from model.training.failures import device_is_lost, is_out_of_memory
from search.disk import is_full
from search.records import TrialError

Kind = Literal["memory", "disk", "device", "error"]


def kind_of(error: BaseException) -> Kind:
    """Out of memory; a full disk; a GPU that is lost to this process; anything else, which would come again."""
    if is_out_of_memory(error):
        return "memory"
    if is_full(error):
        return "disk"
    return "device" if device_is_lost(error) else "error"


def described(error: BaseException) -> TrialError:
    """An exception caught in a trial's process."""
    text = "".join(traceback.format_exception(error)).strip()
    return TrialError(type=type(error).__name__, message=str(error), traceback=text)


def death(text: str) -> TrialError:
    """A process's death, from Ray's words on it, of which one paragraph tells the cause."""
    text = re.sub(r"\x1b\[\d+m", "", text).strip()  # Ray colors it
    type_name = "OutOfMemoryError" if ran_out_of_memory(text) else "ProcessDied"
    return TrialError(type=type_name, message=_cause(text), traceback=text)


def ran_out_of_memory(text: str) -> bool:
    """Whether Ray's memory monitor killed the process, so as to keep the machine alive."""
    return "due to the node running low on memory" in text


def _cause(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r"died|killed|low on memory|unexpected|node", line)]
    return (told or lines or ["no further word from Ray"])[-1]
