"""Whether the Hugging Face hub can be looked for at all."""

from __future__ import annotations

import socket
import time
import urllib.request
from urllib.parse import urlsplit

from huggingface_hub import constants

_PATIENCE = 2.0
"""Seconds until a name is looked for once more: an answer may be lost, or the network just coming up."""


def check_hub_has_address() -> None:
    """Raises OSError where the hub's name leads to no address, as without a network: huggingface_hub itself tries for
    half a minute whether it does. A proxy looks for the address by itself, and offline nobody does."""
    proxies = urllib.request.getproxies()  # NO_PROXY, which names none, stands among them
    if constants.HF_HUB_OFFLINE or any(kind in proxies for kind in ("http", "https", "all")):
        return
    try:
        host = urlsplit(constants.ENDPOINT).hostname
        try:
            socket.getaddrinfo(host, None)
        except socket.gaierror:
            time.sleep(_PATIENCE)
            socket.getaddrinfo(host, None)
    except ValueError as error:  # no URL, or a name that none can have
        raise OSError(f"HF_ENDPOINT is {constants.ENDPOINT!r}: {error}") from None
