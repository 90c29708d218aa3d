"""The routes of drift: each answer is what openapi.json promises, and who must not is told so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.promises import ask
from tests.daemon import Daemon

pytestmark = pytest.mark.slow


def test_every_route_keeps_its_promise(folder: Path) -> None:
    """From nothing at all to accepted, reverted, ignored; what cannot be is a problem with its status."""
    path = folder / "page"
    with Daemon(folder) as daemon:
        nothing = ask(daemon, "POST", "/v1/drift/detect")
        names = ("one", "two", "three")
        steps = [
            {
                "name": name,
                "do": "local.file.create",
                "with": {"path": f"{path}-{name}", "content": name, "mode": "0640"},
            }
            for name in names
        ]
        daemon.submit({"saga": "files", "steps": steps})
        for name in names:
            Path(f"{path}-{name}").chmod(0o600)
        found = ask(daemon, "POST", "/v1/drift/detect", {"type": "local"})
        one, two, three = (each["id"] for each in found.document["drift"])
        progress = ask(daemon, "GET", "/v1/drift/detect")
        page = ask(daemon, "GET", "/v1/drift?limit=2&type=local.file")
        rest = ask(daemon, "GET", f"/v1/drift?limit=2&cursor={page.document['next']}")
        single = ask(daemon, "GET", f"/v1/drift/{one[:8]}")
        ignored = ask(daemon, "POST", f"/v1/drift/{one}/ignore", {"reason": "so", "expires": "7d"})
        rules = ask(daemon, "GET", "/v1/drift/rules")
        heeded = ask(daemon, "POST", f"/v1/drift/rules/{rules.document['rules'][0]['id']}/heed")
        accepted = ask(daemon, "POST", f"/v1/drift/{one}/accept")
        reverted = ask(daemon, "POST", f"/v1/drift/{two}/revert?wait=20s", {"reason": "back"})
        batch = ask(daemon, "POST", "/v1/drift/revert", {"type": "local"})
        daemon.wait_ended(batch.document["batch"])
        none_left = ask(daemon, "POST", "/v1/drift/revert")
        closed = [
            ask(daemon, "GET", f"/v1/drift?status={each}") for each in ("open", "accepted", "reverted", "all")
        ]
        wrong = [
            ask(daemon, "POST", f"/v1/drift/{one}/ignore", {"reason": " "}),
            ask(daemon, "POST", f"/v1/drift/{one}/ignore", {"reason": "so", "expires": "soon"}),
            ask(daemon, "GET", "/v1/drift?status=gone"),
            ask(daemon, "GET", "/v1/drift/zzzz"),
            ask(daemon, "POST", "/v1/drift/rules/zzzz/heed"),
            ask(daemon, "POST", "/v1/drift/detect", {"type": "nothing.here"}),
            ask(daemon, "POST", f"/v1/drift/{one}/accept"),
            ask(daemon, "POST", f"/v1/drift/{two}/revert"),
            ask(daemon, "DELETE", f"/v1/drift/{two}"),
        ]
        about = ask(daemon, "GET", "/v1/metrics").document

    assert (nothing.document["looked"], nothing.document["drift"]) == (0, [])
    assert progress.document["doing"] is None
    assert [len(each.document["drift"]) for each in (page, rest)] == [2, 1]
    assert single.document["drift"][0]["id"] == single.document["id"] == one
    assert ignored.document["drift"][0]["ignored"] == rules.document["rules"][0]["id"]
    assert heeded.status == accepted.status == 200
    assert accepted.document["lines"][-1].strip().startswith('mode: "0600"')
    assert reverted.document["saga"]["status"] == "completed"
    assert [each["id"] for each in batch.document["drift"]] == [three]
    assert none_left.document["did"] == "nothing"
    assert [len(each.document["drift"]) for each in closed] == [0, 1, 2, 3]
    assert [each.status for each in wrong] == [422, 422, 422, 404, 404, 404, 409, 409, 405]
    assert 'sagad_drift{kind="changed"} 0.0' in about
