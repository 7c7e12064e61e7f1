"""The one exception for what a user got wrong, and how a command line reports it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What a user handed over can't be used: the message says what, where and what is allowed.

    Command lines print it without a traceback and exit with code 2.
    """


@contextmanager
def reported() -> Iterator[None]:
    """Around a command line's work: prints a UserError as one message and exits with code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
