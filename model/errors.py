"""The one exception for what a user got wrong."""


class UserError(Exception):
    """What a user handed over can't be used: the message says what, where and what is allowed.

    Command lines print it without a traceback and exit with code 2.
    """
