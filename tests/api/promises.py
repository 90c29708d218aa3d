"""Asking a real daemon, and holding each answer to what openapi.json promises for its route."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple

import msgspec

from orchestrator.api.answer import ProblemDocument
from orchestrator.api.app import find
from orchestrator.api.openapi import document
from orchestrator.api.routes import ROUTES
from orchestrator.problems import Problem
from tests.daemon import Connection, Daemon

DESCRIBED = document(ROUTES, "")["paths"]


class Said(NamedTuple):
    """An answer that keeps its promise."""

    status: int
    headers: http.client.HTTPMessage
    document: Any


def ask(daemon: Daemon, method: str, path: str, body: Any = None, **headers: str) -> Said:
    """Send a request, and hold the answer to what the description says of the route."""
    connection = Connection(daemon.socket)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(
            method, path, data, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    _keeps_its_promise(method, path.partition("?")[0], answer, text)
    return Said(answer.status, answer.headers, json.loads(text) if text[:1] == b"{" else text.decode())


def _keeps_its_promise(method: str, path: str, answer: http.client.HTTPResponse, text: bytes) -> None:
    assert answer.headers["Sagad-Version"]
    media = (answer.headers["Content-Type"] or "").partition(";")[0]
    if answer.status >= 400:
        assert media == "application/problem+json"
        msgspec.json.decode(text, type=ProblemDocument)
    try:
        route, _ = find(method, path)
    except Problem:
        return
    assert str(answer.status) in DESCRIBED[route.path][method.lower()]["responses"]
    if answer.status < 400 and not isinstance(route.answers, str):
        assert media == "application/json"
        other = route.or_else if answer.status == 200 and b'"did":"nothing"' in text else None
        msgspec.json.decode(text, type=other or route.answers)
