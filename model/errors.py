"""The one exception for what a user got wrong, and how a command line reports it."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

READER_GONE = 141
"""The exit code where nobody reads on, as of `head` when it has seen enough: 128 and the number of SIGPIPE."""


class UserError(Exception):
    """What a user handed over can't be used: the message says what, where and what is allowed.

    Command lines print it without a traceback and exit with code 2.
    """


@contextmanager
def reported() -> Iterator[None]:
    """Around all that a command line does, the reading of its flags included: a UserError is one message and exit code
    2, Ctrl-C exit code 130. A reader of the output that has gone is no error: exit code 141, without a word."""
    with _quiet_when_unread():
        try:
            yield
        except KeyboardInterrupt:
            sys.exit(130)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)


@contextmanager
def _quiet_when_unread() -> Iterator[None]:
    """Exits where nobody reads what is written. Any other broken pipe, as one between processes, is raised.

    What is buffered is written here: where Python does so at its own end, it complains of a pipe without a reader.
    """
    try:
        try:
            yield
        except SystemExit:
            print(end="", flush=True)
            raise
        print(end="", flush=True)
    except BrokenPipeError:
        gone = [stream for stream in (sys.stdout, sys.stderr) if _reader_gone(stream)]
        for stream in gone:
            discard(stream)
        if not gone:
            raise
        sys.exit(READER_GONE)


def discard(stream: IO[str]) -> None:
    """From now on nothing comes of what is written to `stream`, nor of what is buffered for it, which must go somewhere
    at Python's end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _reader_gone(stream: IO[str] | None) -> bool:
    """Linux says so by POLLERR, macOS by POLLHUP. There is no reader that could go where `stream` has no file, as in a
    notebook, or is missing, as in a service."""
    if stream is None:
        return False
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
