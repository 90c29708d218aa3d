"""Whom a connection over TLS is to trust: the machine's certificates, or those that `$SSL_CERT_FILE` names."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def trusted() -> ssl.SSLContext:
    """Give the context for connections, made when the first of them is: reading the certificates takes 2 MB.

    A driver that connects gives it to its session. aiohttp's own, made when it is imported, trusts nobody here
    (``orchestrator.daemon``).
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
