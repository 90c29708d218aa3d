"""A session with a service over HTTP: what all drivers that ask one agree on."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import ClientSession


@cache
def trusted() -> ssl.SSLContext:
    """Give the context for connections, made when the first of them is: reading the certificates takes 2 MB.

    It trusts the machine's certificates, or those that `$SSL_CERT_FILE` names. aiohttp's own, made when it is imported,
    trusts nobody here (``orchestrator.daemon``).
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def session(*, connect: float, answer: float | None = None, **connector: Any) -> ClientSession:
    """Open a session of the loop that runs; ``connect``, ``answer``: seconds. It keeps no cookies, and repeats nothing."""
    import aiohttp

    opened = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted(), **connector),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=answer, sock_connect=connect),
        headers={"User-Agent": "sagad"},
    )
    # It would send a GET, PUT or DELETE anew by itself; there is no public switch, its own TestClient sets this.
    opened._retry_connection = False  # noqa: SLF001
    return opened
