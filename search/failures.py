"""What went wrong with a trial, in the ledger's terms.

An exception inside a trial is caught in its own process, with its type; of a process that died, Ray has a text only.
"""

from __future__ import annotations

import errno
import re
import traceback
from typing import Literal

from model.training.failures import device_is_lost, is_out_of_memory
from search.disk import is_full
from search.pulse import Held
from search.records import TrialError

Kind = Literal["memory", "disk", "process", "error"]

_OUT_OF_REACH = (errno.EIO, errno.ESTALE, errno.ENOLCK, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN)
"""What a shared disk says that one node has lost, for a while or for good."""


def kind_of(error: BaseException) -> Kind:
    """Out of memory; a full disk; what concerns this process or node alone, such as a GPU that is lost to it, so that
    another process may do better; anything else, which would come again."""
    if is_out_of_memory(error):
        return "memory"
    if is_full(error):
        return "disk"
    out_of_reach = isinstance(error, OSError) and error.errno in _OUT_OF_REACH
    return "process" if device_is_lost(error) or isinstance(error, Held) or out_of_reach else "error"


def described(error: BaseException) -> TrialError:
    """An exception caught in a trial's process."""
    text = "".join(traceback.format_exception(error)).strip()
    return TrialError(type=type(error).__name__, message=str(error), traceback=text)


def death(text: str) -> TrialError:
    """A process's death, from Ray's words on it. One paragraph of them tells the cause, or, where the process gave up
    by an exception, the last line."""
    text = re.sub(r"\x1b\[\d+m", "", text).strip()  # Ray colors it
    if ran_out_of_memory(text):
        return TrialError(type="OutOfMemoryError", message=_cause(text), traceback=text)
    raised = re.findall(r"^(?:\w+\.)*(\w*Error|Held): (.+)$", text, re.MULTILINE)
    if text.startswith("ray::") and raised:
        type_name, message = raised[-1]
        return TrialError(type=type_name, message=message, traceback=text)
    return TrialError(type="ProcessDied", message=_cause(text), traceback=text)


def ran_out_of_memory(text: str) -> bool:
    """Whether Ray's memory monitor killed the process, so as to keep the machine alive."""
    return "due to the node running low on memory" in text


def _cause(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r"died|killed|low on memory|unexpected|node", line)]
    return (told or lines or ["no further word from Ray"])[-1]
