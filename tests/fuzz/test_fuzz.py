"""Fuzzing in short, and that what it holds the daemon to can be broken."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.clients import bad_clients
from tests.fuzz.documents import File
from tests.fuzz.files import check_file, fuzz_files
from tests.fuzz.target import Said, Target

pytestmark = pytest.mark.slow

NUMBER = int.from_bytes(os.urandom(4))


@pytest.fixture
def target() -> Iterator[Target]:
    """A daemon to be fuzzed; to end it holds it to what must be true whatever was asked."""
    with tempfile.TemporaryDirectory(prefix="sagad-") as made:
        Path(made).chmod(0o755)
        target = Target(Path(made) / "fuzz")
        try:
            yield target
        finally:
            target.end()


def test_no_request_is_answered_otherwise_than_the_description_says(target: Target) -> None:
    """Each route, fitting requests and others, in each role."""
    from tests.fuzz.api import fuzz_api  # schemathesis takes a second to import

    print(f"seed {NUMBER}")
    fuzz_api(target, 25, NUMBER)
    target.end()

    assert target.wrong == []


def test_every_problem_of_a_file_has_its_place_and_all_say_the_same(target: Target) -> None:
    """Saga, stack and batch files in YAML, TOML and JSON."""
    print(f"seed {NUMBER}")
    fuzz_files(target, 60, NUMBER)
    target.end()

    assert target.wrong == []


def test_clients_that_misbehave_keep_nobody_from_being_answered(target: Target) -> None:
    """Half requests, slow ones, 100 MB, streams that nobody reads, idle connections."""
    bad_clients(target, connections=500, many=30, sagas=60)
    target.end()

    assert target.wrong == []


ALTERED: dict[str, Callable[[Said], Said]] = {
    "a status that is not described": lambda said: said._replace(status=418),
    "a server error": lambda said: said._replace(status=500),
    "a field too few": lambda said: said._replace(body=said.body.replace(b'"detail"', b'"DETAIL"')),
    "no JSON": lambda said: said._replace(body=b"sorry"),
    "refused without reason": lambda said: said._replace(status=403),
}
PROBLEMS: dict[str, Any] = {"line": None, "problem": "ValueError('x')", "where": "somewhere else"}


def test_what_is_not_as_it_should_be_is_noticed(target: Target) -> None:
    """What holds can be broken: each alteration of an answer is complained of."""
    from tests.fuzz.api import fuzz_api

    ask = target.ask
    unnoticed: list[str] = []

    def altering(path: str, change: Callable[[Said], Said]) -> None:
        def altered(method: str, asked: str, *more: Any, **named: Any) -> Said:
            said = ask(method, asked, *more, **named)
            return change(said) if asked == path else said

        target.ask = altered  # type: ignore[assignment, method-assign]
        target.wrong.clear()

    for what, change in ALTERED.items():
        altering("/v1/rehearse", change)
        fuzz_api(target, 2, NUMBER, only="/v1/rehearse")
        unnoticed += [] if target.wrong else [what]
    for key, value in PROBLEMS.items():
        altering("/v1/validate", lambda said, key=key, value=value: _with(said, key, value))  # type: ignore[misc]
        check_file(target, File("saga", "yaml", "saga: x\nstepps: []\n"))
        unnoticed += [] if target.wrong else [key]
    target.ask = ask  # type: ignore[method-assign]

    assert unnoticed == []


def _with(said: Said, key: str, value: Any) -> Said:
    """Change the first problem of an answer."""
    document = said.json
    document["problems"][0][key] = value
    return said._replace(body=json.dumps(document).encode())
