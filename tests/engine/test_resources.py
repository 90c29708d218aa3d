"""The registry through the socket of a real daemon: it is what sagas have made of the world, whatever became of them."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.daemon import Connection, Daemon

pytestmark = pytest.mark.slow

Step = dict[str, Any]
FAIL: Step = {"name": "last", "do": "test.fail", "with": {"kind": "error"}}


def file(verb: str, path: Path, content: str | None = None, name: str = "", **more: Any) -> Step:
    """A step that does something to a file."""
    given = {"path": str(path), **({} if content is None else {"content": content}), **more.pop("set", {})}
    return {"name": name or f"{verb}-{path.name}", "do": f"local.file.{verb}", "with": given, **more}


def ran(daemon: Daemon, *steps: Step, **more: Any) -> dict[str, Any]:
    """Run a saga to its end, or to where somebody is needed."""
    return daemon.submit({"saga": "change", "steps": list(steps), **more})


def route(type_: str, name: object, *more: str) -> str:
    """The route of a resource."""
    return "/".join(["/v1/resources", type_, quote(str(name), safe=""), *more])


def record(daemon: Daemon, name: object, type_: str = "local.file") -> dict[str, Any] | None:
    """A resource's record; None where there is none."""
    status, document = daemon.ask("GET", route(type_, name))
    assert status in (200, 404), document
    return document if status == 200 else None


def registry(daemon: Daemon, folder: Path) -> dict[str, dict[str, Any]]:
    """The records of what lies in a folder, by path."""
    found, query = [], ""
    while True:
        page = daemon.ask("GET", f"/v1/resources?limit=7{query}")[1]
        found += page["resources"]
        if page["next"] is None:
            return {each["name"]: each for each in found if each["name"].startswith(f"{folder}/")}
        query = f"&cursor={page['next']}"


def sha(content: str) -> str:
    """What a spec says of a content."""
    return hashlib.sha256(content.encode()).hexdigest()


# --- what steps make of a record ------------------------------------------------------------------------------------


def test_a_create_adds_an_update_merges_a_delete_removes(daemon: Daemon, tmp_path: Path) -> None:
    """And each change is a new version; who made it stays."""
    page = tmp_path / "page"
    made = ran(daemon, file("create", page, "one", set={"mode": "0600"}))
    first = record(daemon, page)
    ran(daemon, file("update", page, "two"))
    second = record(daemon, page)
    assert first is not None
    assert second is not None
    ran(daemon, file("delete", page))

    assert (first["spec"], first["spec_version"], first["saga"]) == (
        {"sha256": sha("one"), "mode": "0600"}, 1, made["id"],
    )  # fmt: skip
    assert (second["spec"], second["spec_version"], second["saga"]) == (
        {"sha256": sha("two"), "mode": "0600"}, 2, made["id"],
    )  # fmt: skip
    assert second["outputs"]["size"] == 3
    assert (first["type"], first["name"], first["id"], first["live"]) == ("local.file", str(page), None, None)
    assert second["created_at"] == first["created_at"] < second["updated_at"]
    assert record(daemon, page) is None


def test_what_was_removed_by_hand_and_is_made_anew_begins_anew(daemon: Daemon, tmp_path: Path) -> None:
    """Nothing is merged into it, and its maker is the one that made it; its undo puts back what was on record."""
    page = tmp_path / "page"
    first = ran(daemon, file("create", page, "one", set={"mode": "0600"}))
    page.unlink()
    second = ran(daemon, file("put", page, "two"))
    found = record(daemon, page)
    daemon.wait_ended(daemon.say(second["id"], "rollback")[1]["saga"]["id"])
    back = record(daemon, page)

    assert found is not None
    assert (found["spec"], found["saga"], found["spec_version"]) == ({"sha256": sha("two")}, second["id"], 2)
    assert back is not None
    assert (back["spec"]["mode"], back["saga"], back["spec_version"]) == ("0600", first["id"], 3)


def test_what_was_there_is_adopted_and_let_go_by_the_undo(daemon: Daemon, tmp_path: Path) -> None:
    """A file that nobody has on record is kept when a step changes it, and is as unknown as before when that is undone."""
    page = tmp_path / "page"
    page.write_text("theirs")
    done = ran(daemon, file("put", page, "ours"))
    adopted = record(daemon, page)
    status, answer = daemon.say(done["id"], "rollback")
    daemon.wait_ended(answer["saga"]["id"])

    assert status == 200
    assert adopted is not None
    assert adopted["spec"] == {"sha256": sha("ours")}
    assert (page.read_text(), record(daemon, page)) == ("theirs", None)


def test_an_undo_puts_the_earlier_record_back(daemon: Daemon, tmp_path: Path) -> None:
    """Of an update, of a delete, of both after each other; only its version goes on."""
    one, two = tmp_path / "one", tmp_path / "two"
    ran(daemon, file("create", one, "1", set={"mode": "0600"}), file("create", two, "2"))
    before = [record(daemon, each) for each in (one, two)]
    back = ran(
        daemon,
        file("update", one, "x"),
        file("delete", one),
        file("update", two, "y", set={"mode": "0640"}),
        FAIL,
    )
    after = [record(daemon, each) for each in (one, two)]

    assert back["status"] == "rolled_back"
    for old, new in zip(before, after, strict=True):
        assert old is not None
        assert new is not None
        assert new["spec_version"] > old["spec_version"]
        assert new | {"spec_version": 0, "updated_at": ""} == old | {"spec_version": 0, "updated_at": ""}


def test_a_rollback_puts_records_back_and_its_rollback_those_of_before(
    daemon: Daemon, tmp_path: Path
) -> None:
    """As often as one likes; the record is that of the saga whose doing is in effect."""
    page = tmp_path / "page"
    id_ = ran(daemon, file("create", page, "one"), file("update", page, set={"mode": "0600"}))["id"]
    there = record(daemon, page)
    seen = []
    for _ in range(3):
        id_ = daemon.say(id_, "rollback")[1]["saga"]["id"]
        assert daemon.wait_ended(id_)["status"] == "completed"
        seen.append(record(daemon, page))

    assert there is not None
    assert [each is None for each in seen] == [True, False, True]
    assert seen[1] is not None
    assert seen[1]["spec"] == there["spec"]
    assert seen[1]["saga"] == there["saga"]


def test_a_correction_leaves_what_it_makes(daemon: Daemon, tmp_path: Path) -> None:
    """A corrective saga is a saga; an undo that is an operation of its own puts the record back too."""
    one, two = tmp_path / "one", tmp_path / "two"
    rm = {"do": "command.run", "with": {"argv": ["rm", str(two)]}}
    id_ = ran(daemon, file("create", one, "wrong"))["id"]
    status, answer = daemon.say(
        id_, "correct", saga={"saga": "right", "steps": [file("update", one, "right")]}
    )
    daemon.wait_ended(answer["saga"]["id"])
    turned = ran(daemon, file("create", two, "x", undo=rm), FAIL)
    corrected = record(daemon, one)

    assert status == 200
    assert corrected is not None
    assert (corrected["spec"]["sha256"], corrected["saga"]) == (sha("right"), id_)
    assert (turned["status"], two.exists(), record(daemon, two)) == ("rolled_back", False, None)


def test_keep_false_stays_out_of_it_and_a_name_is_a_label(daemon: Daemon, tmp_path: Path) -> None:
    """By which the record is found, as by its path."""
    out, named = tmp_path / "out", tmp_path / "named"
    id_ = ran(
        daemon, file("create", out, "x", keep=False), file("create", named, "x", **{"as": "front page"})
    )["id"]
    found = record(daemon, "front page")
    ran(daemon, file("update", named, "y"))
    again = record(daemon, named)

    assert record(daemon, out) is None
    assert found is not None
    assert again is not None
    assert (found["name"], again["name"], again["spec_version"]) == ("front page", "front page", 2)
    daemon.wait_ended(daemon.say(id_, "rollback")[1]["saga"]["id"])
    assert record(daemon, out) is None


def test_a_hook_keeps_what_it_makes(daemon: Daemon, tmp_path: Path) -> None:
    """Under its driver's name, not the step's; a hook that fails takes the step's record with it."""
    page, note = tmp_path / "page", tmp_path / "note"
    hooks = {"applied": {"do": "local.file.put", "with": {"path": str(note), "content": "done"}}}
    ran(daemon, file("create", page, "x", hooks=hooks, **{"as": "page"}))
    failing = {"applied": {"do": "test.fail", "with": {"kind": "error"}}}
    ran(daemon, file("create", tmp_path / "gone", "x", hooks=failing))

    assert record(daemon, note) is not None
    assert record(daemon, "page") is not None
    assert record(daemon, tmp_path / "gone") is None


def test_what_lies_below_goes_with_its_folder_and_comes_back_with_it(daemon: Daemon, tmp_path: Path) -> None:
    """Also the file that the same saga has made just before."""
    folder, old, new = tmp_path / "site", tmp_path / "site/old", tmp_path / "site/new"
    make = {"name": "folder", "do": "local.directory.create", "with": {"path": str(folder)}}
    drop = {
        "name": "drop", "do": "local.directory.delete", "with": {"path": str(folder), "recursive": True},
    }  # fmt: skip
    ran(daemon, make, file("create", old, "x"))
    before = registry(daemon, folder)
    turned = ran(daemon, file("create", new, "y"), drop, FAIL)
    back = registry(daemon, folder)
    ran(daemon, drop)

    assert (turned["status"], back[str(old)]["spec"]) == ("rolled_back", before[str(old)]["spec"])
    assert back.keys() == before.keys() == {str(old)}
    assert registry(daemon, tmp_path) == {}


def test_a_secret_is_a_reference(daemon: Daemon, tmp_path: Path) -> None:
    """Its value is nowhere in the registry, nor in the database."""
    link = tmp_path / "link"
    step = {
        "name": "link",
        "do": "local.symlink.create",
        "with": {"path": str(link), "target": "${secret.token}"},
    }
    assert ran(daemon, step)["status"] == "completed"
    found = record(daemon, link, "local.symlink")

    assert found is not None
    assert found["spec"] == {"target": "${secret.token}"}
    assert found["outputs"]["target"] == "${secret.token}"
    assert b"s3cr3t-t0k3n-value" not in (daemon.state / "sagad.db").read_bytes()


# --- a service that gives ids ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a driver for things that have ids."""
    folder = tmp_path_factory.mktemp("cloud")
    daemon = Daemon(folder, environ={"CLOUD": str(folder / "cloud.json")})
    with daemon.start(module=("tests.engine.cloud",)):
        yield daemon


def thing(verb: str, /, **given: Any) -> Step:
    """A step that does something to a thing."""
    return {"name": "it", "do": f"cloud.thing.{verb}", "with": given}


def test_an_id_is_the_identity_once_it_is_known(cloud: Daemon) -> None:
    """Two of one name are two records; of what is sensitive a reference to the sealed value is shown."""
    one = ran(cloud, thing("create", name="web", tags=["a"]))
    two = ran(cloud, thing("create", name="web", size=2))
    ids = [each["steps"][0]["output"]["id"] for each in (one, two)]
    ran(cloud, thing("update", id=ids[1], size=7))
    status, problem = cloud.ask("GET", route("cloud.thing", "web"))
    first, second = (record(cloud, id_, "cloud.thing") for id_ in ids)

    assert (status, problem["code"]) == (409, "ambiguous")
    assert first is not None
    assert second is not None
    assert (first["name"], first["id"], first["spec"]) == (
        "web",
        ids[0],
        {"name": "web", "size": 1, "tags": ["a"]},
    )
    assert (second["spec"]["size"], second["spec_version"], second["outputs"]["size"]) == (7, 2, 7)
    tokens = [each["outputs"]["token"] for each in (first, second)]
    assert [re.sub(r"\w{12}", "ID", token) for token in tokens] == ["${secret.ID.token}"] * 2
    assert one["steps"][0]["output"]["token"] == tokens[0] != tokens[1]


def test_what_comes_back_under_another_id_is_on_record_under_that(cloud: Daemon) -> None:
    """An undone delete: the new id takes the old one's place, in the outputs too; the rest is as it was."""
    id_ = ran(cloud, thing("create", name="db", size=3))["steps"][0]["output"]["id"]
    turned = ran(cloud, thing("delete", id=id_), FAIL)
    back = record(cloud, "db", "cloud.thing")

    assert turned["status"] == "rolled_back", turned
    assert back is not None
    assert back["id"] not in (None, id_)
    undo = next(each for each in cloud.executions(turned["id"]) if each["nature"] == "restore")
    assert back["outputs"] == {"id": back["id"], "size": 3, "token": f"${{secret.{undo['id']}.token}}"}
    assert back["spec"] == {"name": "db", "size": 3, "tags": []}
    assert record(cloud, id_, "cloud.thing") is None


def test_what_is_there_in_part_is_on_record_until_it_is_taken_back(cloud: Daemon) -> None:
    """While somebody is asked what to do about it; then no more."""
    half = thing("create", name="half", half=True)
    held = ran(cloud, half, on_failure="hold")
    there = record(cloud, "half", "cloud.thing")
    cloud.say(held["id"], "cancel")
    ended = cloud.wait_ended(held["id"])

    assert there is not None
    assert there["spec"] == {"name": "half", "size": 1, "tags": []}
    assert (ended["status"], record(cloud, "half", "cloud.thing")) == ("rolled_back", None)


def test_a_thing_is_imported_by_its_id(cloud: Daemon) -> None:
    """Its spec is what is there of it, so far as a step could set it."""
    id_ = ran(cloud, {**thing("create", name="out", size=4), "keep": False})
    id_ = id_["steps"][0]["output"]["id"]
    status, answer = cloud.ask("POST", route("cloud.thing", "mine", "import"), {"id": id_})
    given = cloud.ask("POST", route("cloud.thing", "mine", "import"), {"spec": {"size": 9}})[1]["resource"]
    wrong = cloud.ask("POST", route("cloud.thing", "mine", "import"), {"spec": {"sise": 9}})
    other = ran(cloud, {**thing("create", name="too"), "keep": False})["steps"][0]["output"]["id"]
    namesake = cloud.ask("POST", route("cloud.thing", "mine", "import"), {"id": other})[1]["resource"]

    assert status == 200, answer
    assert answer["resource"]["spec"] == {"name": "out", "size": 4, "tags": []}
    assert (answer["resource"]["id"], answer["resource"]["saga"]) == (id_, None)
    assert (given["id"], given["spec"], given["spec_version"]) == (id_, {"size": 9}, 2)
    assert (namesake["id"], namesake["spec_version"]) == (other, 1)
    assert (wrong[0], wrong[1]["errors"][0]["where"]) == (422, "spec.sise")


# --- by somebody's word ---------------------------------------------------------------------------------------------


def test_what_is_there_is_imported_and_forgotten(daemon: Daemon, tmp_path: Path) -> None:
    """It is not touched by that; both are events, of the resource and of nobody's saga."""
    page = tmp_path / "page"
    page.write_text("theirs")
    page.chmod(0o600)
    status, answer = daemon.ask("POST", route("local.file", page, "import"), {"reason": "ours now"})
    ran(daemon, file("update", page, "new"))
    kept = record(daemon, page)
    forgotten = daemon.ask("POST", route("local.file", page, "forget"), {})
    events = daemon.ask("GET", route("local.file", page, "events"))[1]["events"]

    assert status == 200, answer
    assert answer["resource"]["spec"]["sha256"] == sha("theirs")
    assert answer["resource"]["spec"]["mode"] == "0600"
    assert kept is not None
    assert (kept["saga"], kept["spec"]["sha256"], kept["spec_version"]) == (None, sha("new"), 2)
    assert forgotten[0] == 200
    assert record(daemon, page) is None
    assert page.read_text() == "new"
    by_nobody = [each for each in events if each["saga"] is None]
    assert [each["type"] for each in by_nobody] == ["resource.imported", "resource.forgotten"]
    assert by_nobody[0]["data"]["reason"] == "ours now"
    assert "step.succeeded" in [each["type"] for each in events]
    assert daemon.ask("POST", route("local.file", page, "forget"), {})[0] == 404


def test_what_cannot_be_imported_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    """What is not there, is something else, has no path, or no driver."""
    (tmp_path / "folder").mkdir()
    refused = [
        ("local.file", tmp_path / "nothing", 409, "absent"),
        ("local.file", tmp_path / "folder", 409, "other_kind"),
        ("local.file", "relative", 422, "invalid"),
        ("local.fil", tmp_path, 404, "not_found"),
        ("test.echo", "x", 404, "not_found"),
    ]
    for type_, name, status, code in refused:
        answer = daemon.ask("POST", route(type_, name, "import"), {})
        assert (answer[0], answer[1]["code"]) == (status, code), answer
    assert registry(daemon, tmp_path) == {}


def test_nobody_changes_the_record_of_what_a_saga_is_at(daemon: Daemon, tmp_path: Path) -> None:
    """Until it has ended: its undo would put back what was on record when it began."""
    page = tmp_path / "page"
    held = ran(
        daemon, file("create", page, "x"), {"name": "nap", "do": "wait.approval", "with": {"message": "?"}}
    )
    answers = [daemon.ask("POST", route("local.file", page, verb), {}) for verb in ("import", "forget")]
    daemon.say(held["id"], "approve")
    daemon.wait_ended(held["id"])

    assert [(status, answer["code"]) for status, answer in answers] == [(409, "locked")] * 2
    assert all(held["id"] in answer["detail"] for _, answer in answers)
    assert daemon.ask("POST", route("local.file", page, "forget"), {})[0] == 200


def test_a_name_with_slashes_may_be_written_as_it_is(daemon: Daemon, tmp_path: Path) -> None:
    """Encoded, it is never taken for a part of the route."""
    events = tmp_path / "events"
    ran(daemon, file("create", events, "x"))

    assert daemon.ask("GET", f"/v1/resources/local.file/{events}")[0] == 404  # the events of the folder
    assert daemon.ask("GET", route("local.file", events))[1]["name"] == str(events)
    assert daemon.ask("GET", f"/v1/resources/local.file/{events}/events")[1]["events"] != []
    assert daemon.ask("GET", f"/v1/resources/local.file/{tmp_path}/no/events")[0] == 404
    assert daemon.ask("GET", "/v1/resources?cursor=nonsense")[0] == 422
    assert daemon.ask("GET", "/v1/resources/local.file")[0] == 404


def test_what_happens_to_a_resource_is_streamed(daemon: Daemon, tmp_path: Path) -> None:
    """What was, then what comes, and nothing of what else the same sagas do."""
    page, other = tmp_path / "page", tmp_path / "other"
    ran(daemon, file("create", page, "x"), file("create", other, "x"))
    past = daemon.ask("GET", route("local.file", page, "events"))[1]["events"]
    connection = Connection(daemon.socket)
    connection.request("GET", route("local.file", page, "events"), headers={"Accept": "text/event-stream"})
    answer = connection.getresponse()
    first = [streamed(answer) for _ in past]
    ran(daemon, file("update", other, "y"), file("update", page, "y"))
    daemon.ask("POST", route("local.file", page, "forget"), {})
    later: list[dict[str, Any]] = []
    while not later or later[-1]["type"] != "resource.forgotten":
        later.append(streamed(answer))
    connection.close()
    there = daemon.ask("GET", route("local.file", page, "events"))[1]["events"]

    assert first == past
    assert first + later == there
    assert {each["step"] for each in there} == {"create-page", "update-page", None}


def streamed(answer: http.client.HTTPResponse) -> dict[str, Any]:
    """The next event of a stream."""
    while not (line := answer.readline()).startswith(b"data:"):
        assert line, "the stream has ended"
    return dict(json.loads(line.removeprefix(b"data:")))


# --- whatever happens -----------------------------------------------------------------------------------------------


class World:
    """What random sagas are to leave on record, by looking at what is there."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        """Have eight files to play with."""
        self.chance = chance
        self.paths = [folder / f"file{number}" for number in range(8)]

    def saga(self, there: set[Path]) -> list[Step]:
        """Some steps that can be done where these files are there, and perhaps one that fails."""
        steps: list[Step] = []
        there = set(there)
        for number in range(self.chance.randint(1, 5)):
            path = self.chance.choice(self.paths)
            verb = self.chance.choice(("update", "put", "delete") if path in there else ("create", "put"))
            content = None if verb == "delete" else f"{self.chance.random()}"
            mode = {"mode": self.chance.choice(("0600", "0640"))} if verb != "delete" and number % 2 else {}
            steps.append(file(verb, path, content, f"s{number}", set=mode))
            (there.discard if verb == "delete" else there.add)(path)
        if self.chance.random() < 0.4:
            steps.insert(self.chance.randint(0, len(steps)), FAIL)
        return steps

    def check(self, daemon: Daemon) -> None:
        """The registry names what is there, as it is, and nothing else."""
        found = registry(daemon, self.paths[0].parent)
        there = {str(path): path for path in self.paths if path.exists()}

        assert found.keys() == there.keys()
        for name, path in there.items():
            spec = found[name]["spec"]
            assert spec["sha256"] == sha(path.read_text())
            assert spec.get("mode") in (None, f"0{path.stat().st_mode & 0o777:o}")


def test_the_registry_is_what_is_there_after_random_sagas(daemon: Daemon, tmp_path: Path) -> None:
    """Some complete, some fail at a random step, some are rolled back later; each leaves the two in agreement."""
    seed = random.randrange(10**6)
    print(f"{seed=}")
    world = World(tmp_path, random.Random(seed))
    for _ in range(25):
        document = ran(daemon, *world.saga({path for path in world.paths if path.exists()}))
        assert document["status"] in ("completed", "rolled_back"), document
        world.check(daemon)
        if document["status"] == "completed" and world.chance.random() < 0.3:
            status, answer = daemon.say(document["id"], "rollback")
            assert (status, daemon.wait_ended(answer["saga"]["id"])["status"]) == (200, "completed")
            world.check(daemon)


POINTS = [(point, number) for point in ("before", "after", "effect") for number in range(1, 9)]


@pytest.mark.parametrize(("point", "number"), POINTS[::2])
def test_dying_anywhere_the_registry_is_what_is_there(tmp_path: Path, point: str, number: int) -> None:
    """Before a commit, after it, and between an effect and its outcome; on the way forward and on the way back."""
    daemon = Daemon(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    ended: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    old, new = folder / "old", folder / "new"
    steps = [
        file("update", old, "b", set={"mode": "0600"}),
        file("create", new, "n"),
        file("delete", old, name="d"),
    ]
    try:
        daemon.start()
        ran(daemon, file("create", old, "a", set={"mode": "0640"}))
        before = registry(daemon, folder)
        daemon.stop()
        daemon.start(module=("tests.faults.dying", point, str(number)))
        for tail in ([FAIL], []):
            id_ = submit_through_death(
                daemon, {"saga": "x", "labels": {"n": str(len(tail))}, "steps": [*steps, *tail]}
            )
            ended = wait_through_death(daemon, id_)
            found = registry(daemon, folder)
            if tail:
                assert ended["status"] == "rolled_back", ended
                assert {name: each["spec"] for name, each in found.items()} == {
                    name: each["spec"] for name, each in before.items()
                }
                assert json.dumps(found).count("spec_version") == 1
    finally:
        daemon.__exit__()

    assert ended["status"] == "completed", ended
    assert {name: each["spec"] for name, each in found.items()} == {str(new): {"sha256": sha("n")}}


def submit_through_death(daemon: Daemon, saga: dict[str, Any]) -> str:
    """Submit, again where the daemon has died over it; a key says that it is the same."""
    while True:
        try:
            headers = {"Idempotency-Key": str(saga["labels"])}
            return str(daemon.ask("POST", "/v1/sagas", {"saga": saga}, headers)[1]["id"])
        except OSError:
            again(daemon)


def again(daemon: Daemon) -> None:
    """Start the daemon that has died."""
    assert daemon.process is not None
    daemon.process.wait()
    daemon.start()


def wait_through_death(daemon: Daemon, id_: str) -> dict[str, Any]:
    """Wait for a saga's end; start the daemon again when it has died."""
    while True:
        try:
            return daemon.wait_ended(id_)
        except OSError:
            again(daemon)
