"""A stand-in for the daemon that tells how the world looks from inside the unit.

A client sends a Python expression; it gets what that gives in here, and who this process takes the client for.
"""

import json
import os
import signal
import socket
import struct
import time
from typing import Any

from orchestrator.notify import Notifier, listen_sockets, watchdog_interval

RELOADING = 0.5
given = dict(os.environ)
notifier = Notifier.from_environ(os.environ)
interval = watchdog_interval(os.environ)
(listener,) = listen_sockets(os.environ)


def reload(*_: object) -> None:
    """Take some time over it, so that it can be seen."""
    notifier.reloading()
    time.sleep(RELOADING)
    notifier.ready()
    notifier.status("reloaded")


def stop(*_: object) -> None:
    """End as the daemon does."""
    notifier.stopping()
    raise SystemExit


def answer(client: socket.socket) -> dict[str, Any]:
    """Evaluate what the client asks."""
    _, uid, gid = struct.unpack("iii", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        return {"uid": uid, "gid": gid, "value": eval(client.recv(4096).decode())}
    except OSError as error:
        return {"uid": uid, "gid": gid, "value": type(error).__name__}


def serve() -> None:
    """Answer one client after the other, and feed the watchdog in between."""
    listener.settimeout((interval or 1) / 2)
    notifier.ready()
    notifier.status("probe is up")
    while True:
        notifier.watchdog()
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        with client:
            client.sendall(json.dumps(answer(client)).encode())


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGTERM, stop)
    serve()
