"""Every exchange is held against DigitalOcean's own description of its API, in both directions.

The description is not part of the project. It is looked for in the folder that ``TESTS_CONTRACTS`` names, else in
``../shared/contracts`` beside the project. Where it is absent nothing is checked, `absence` says why, and the fake works
all the same.

What openapi-core does not look at is checked here: a query parameter that the service does not document. It would be
passed over in silence there (``GET /v2/snapshots?name=…`` gives all snapshots), which no test with a fake would show.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.fakes.digitalocean.wire import Answer, Asked, pattern

FILE = "digitalocean.openapi.json"
HOST = "https://api.digitalocean.com"
PORT = re.compile(r"(?<=127\.0\.0\.1):\d+")
MOST_KNOWN = 50_000
BESIDE = Path(__file__).parents[4] / "shared" / "contracts"


class Violated(AssertionError):
    """An exchange was not one that the service documents."""


class Contract:
    """The description, loaded."""

    def __init__(self, path: Path) -> None:
        import openapi_core
        from openapi_core.testing import MockRequest, MockResponse

        document = json.loads(path.read_text())
        # Their document has a default of null, which the validator of documents does not like.
        config = openapi_core.Config(spec_validator_cls=None)
        self._api = openapi_core.OpenAPI.from_dict(document, config=config)
        self._operations = list(_operations(document))
        self._request, self._response = MockRequest, MockResponse
        self._known: dict[str, list[str]] = {}

    def faults(self, asked: Asked, answer: Answer | None) -> list[str]:
        """What is wrong with the exchange; without an answer only the request is looked at.

        Tests that go through the same requests again and again, with one fault at a time, repeat most exchanges to the
        letter but for the server's port: each is looked at once.
        """
        said = None if answer is None else (answer.status, sorted(answer.headers.items()), answer.body)
        exchange = [asked.method, asked.path, asked.query, asked.raw.decode(errors="replace")]
        key = PORT.sub(":", json.dumps([*exchange, asked.content_type, said]))
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._faults(asked, answer)
        return self._known[key]

    def _faults(self, asked: Asked, answer: Answer | None) -> list[str]:
        from openapi_core.exceptions import OpenAPIError

        request = self._made(asked)
        try:
            if answer is None:
                self._api.validate_request(request)
                return self._unknown_parameters(asked)
            self._api.validate_response(request, self._made_answer(answer))
        except OpenAPIError as error:
            return [_told(asked, answer, error)]
        return []

    def _made(self, asked: Asked) -> Any:
        return self._request(
            HOST,
            asked.method.lower(),
            asked.path,
            args=asked.query,
            headers={"Authorization": f"Bearer {asked.token}"},
            data=asked.raw or None,
            content_type=asked.content_type,
        )

    def _made_answer(self, answer: Answer) -> Any:
        data = b"" if answer.body is None else json.dumps(answer.body).encode()
        return self._response(data, answer.status, answer.headers, "application/json")

    def _unknown_parameters(self, asked: Asked) -> list[str]:
        for method, path, known in self._operations:
            if method == asked.method and path.fullmatch(asked.path):
                unknown = sorted(set(asked.query) - known)
                return [f"{asked.method} {asked.path}: no such query parameter: {name}" for name in unknown]
        return []


def _operations(document: Any) -> Iterator[tuple[str, re.Pattern[str], set[str]]]:
    """Method, path and query parameters; fixed paths first, so that they win over variable ones."""
    for template in sorted(document["paths"], key=lambda template: template.count("{")):
        item = document["paths"][template]
        for method in {"get", "post", "put", "patch", "delete"} & set(item):
            both = [*item.get("parameters", []), *item[method].get("parameters", [])]
            parameters = [_resolved(document, each) for each in both]
            known = {each["name"] for each in parameters if each["in"] == "query"}
            yield method.upper(), pattern(template), known


def _resolved(document: Any, value: Any) -> Any:
    while "$ref" in value:
        found = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/")]
        value = found
    return value


def _told(asked: Asked, answer: Answer | None, error: Exception) -> str:
    what = "request" if answer is None else f"answer {answer.status}"
    body = asked.body if answer is None else answer.body
    reasons = [str(error), *(str(each) for each in _causes(error))]
    return f"{asked.method} {asked.path}: {what}: {'; '.join(reasons)}; body {json.dumps(body)[:2000]}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What lies below: openapi-core says "Request body validation error" and keeps the reason to itself."""
    while (error := error.__cause__) is not None:  # type: ignore[assignment]
        yield from (getattr(each, "message", each) for each in getattr(error, "schema_errors", [error]))


def absence() -> str | None:
    """Why nothing is checked; None where everything is."""
    loaded = _loaded()
    return loaded if isinstance(loaded, str) else None


def contract() -> Contract | None:
    """The description, loaded once in a process; None where it is absent."""
    loaded = _loaded()
    return None if isinstance(loaded, str) else loaded


def place() -> Path:
    """Where the description would be."""
    return Path(os.environ.get("TESTS_CONTRACTS", BESIDE)) / FILE


@cache
def _loaded() -> Contract | str:
    path = place()
    if not path.is_file():
        return f"{path} absent: DigitalOcean contract not checked"
    try:
        return Contract(path)
    except ImportError as error:
        return f"openapi-core not installed ({error}): DigitalOcean contract not checked"
