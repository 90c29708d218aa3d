"""Other users, as processes of their own: what they can ask of a daemon, and what they are told."""

from __future__ import annotations

import json
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

_CLIENT = """
import http.client, json, os, socket, sys
path, uid, gid, asked = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.stdin.read())
os.setgroups([]); os.setgid(gid); os.setuid(uid)
said = []
for method, route, body in asked:
    connection = http.client.HTTPConnection("sagad", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(path)
    except OSError as error:
        said.append([0, type(error).__name__])
        continue
    data = None if body is None else json.dumps(body)
    connection.request(method, route, data, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said.append([answer.status, answer.read().decode(errors="replace")])
print(json.dumps(said))
"""

Asked = tuple[str, str, Any]


def ask_as(user: str, socket: Path, asked: list[Asked]) -> list[tuple[int, str]]:
    """Ask all this as a user of this machine; give status and text of each answer, 0 where there was no connection."""
    known = pwd.getpwnam(user)
    ended = subprocess.run(
        [sys.executable, "-c", _CLIENT, str(socket), str(known.pw_uid), str(known.pw_gid)],
        input=json.dumps(asked),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
        cwd="/",
    )
    return [(status, text) for status, text in json.loads(ended.stdout)]
