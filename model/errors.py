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
    """Around a command line's work: a UserError is one message and exit code 2, Ctrl-C exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
