"""Stack files, and short ways to have a daemon plan and apply them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.daemon import Daemon, Unreachable

Answer = tuple[int, dict[str, Any]]


def res(type_: str, name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A resource of a stack file."""
    return {"type": type_, "name": name, "spec": spec, **more}


def folder(name: str, path: Path | str, **more: Any) -> dict[str, Any]:
    """A folder of a stack file."""
    return res("local.directory", name, {"path": str(path), **more.pop("set", {})}, **more)


def page(name: str, path: Path | str, content: str, **more: Any) -> dict[str, Any]:
    """A file of a stack file."""
    return res("local.file", name, {"path": str(path), "content": content, **more.pop("set", {})}, **more)


def stack(*resources: dict[str, Any], name: str = "harbour", **more: Any) -> dict[str, Any]:
    """A stack file."""
    return {"stack": name, **more, "resources": list(resources)}


def planned(daemon: Daemon, file: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The plan of a file in which nothing is wrong."""
    status, document = daemon.ask("POST", "/v1/plans", {"stack": file, **more})
    assert status == 200, document
    return dict(document)


def actions(plan: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    """What a plan would do: kind, name, fields."""
    return [
        (each["action"], each["name"], [change["field"] for change in each["changes"]])
        for each in plan["actions"]
    ]


def asked(
    daemon: Daemon, file: dict[str, Any], *, key: str | None = None, wait: str = "30s", **more: Any
) -> Answer:
    """Have a file applied; give whatever is said to that."""
    headers = {} if key is None else {"Idempotency-Key": key}
    query = f"?wait={wait}" if wait else ""
    return daemon.ask("POST", f"/v1/plans/apply{query}", {"stack": file, **more}, headers)


def applied(daemon: Daemon, file: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Have a file applied that has something to do; give the saga as it is when it has ended or somebody is needed."""
    status, document = asked(daemon, file, **more)
    assert status == 201, document
    return dict(document)


def nothing_to_do(daemon: Daemon, file: dict[str, Any]) -> bool:
    """Tell whether everything is as a file wants it, by its plan and by applying it."""
    status, document = asked(daemon, file)
    assert planned(daemon, file)["actions"] == []
    return (status, document["did"]) == (200, "nothing")


def outcomes(saga: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What became of each action: kind, name, status."""
    found = saga["outcomes"]
    assert [each["index"] for each in found] == list(range(len(found)))
    assert all(
        (each["error"] is None) == (each["status"] in ("success", "skipped", "compensated")) or each["error"]
        for each in found
    )
    return [(each["action"], each["name"], each["status"]) for each in found]


def refused(answer: Answer) -> tuple[int, str]:
    """The status of an answer, and its code."""
    return answer[0], answer[1].get("code", "")


def records(daemon: Daemon) -> list[dict[str, Any]]:
    """The registry."""
    return list(daemon.ask("GET", "/v1/resources?limit=1000")[1]["resources"])


def one_life(daemon: Daemon, id_: str, point: str, number: int) -> dict[str, Any]:
    """Start the daemon to die at that commit; give the saga where it has ended before that."""
    try:
        daemon.start(module=("tests.faults.dying", point, str(number)))
        document = daemon.wait_ended(id_)
    except TimeoutError:  # it has not died
        raise
    except (OSError, Unreachable):
        document = {}
    if document:
        daemon.kill()
    elif daemon.process is not None:
        daemon.process.wait()
    return document
