"""Sensitive outputs through a real daemon: a driver gets them, and nobody else does but an admin who asks for them."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from store.redaction import forms
from tests.daemon import Daemon

pytestmark = pytest.mark.slow

Step = dict[str, Any]
MODULE = ("tests.engine.keyshop",)
FAIL: Step = {"name": "last", "do": "test.fail", "with": {"kind": "error"}}
LARGE = 40_000
SCRIPT = Path(sys.executable).with_name("sagactl")


class Shop(Daemon):
    """A daemon with the service that gives out keys."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        """Put the service's own files apart from what the daemon writes."""
        self.there = folder / "service" / "shop.json"
        self.there.parent.mkdir(parents=True)
        self.site = folder / "site"
        self.site.mkdir()
        super().__init__(folder, settings, environ={"SHOP": str(self.there)})

    @property
    def tokens(self) -> list[str]:
        """What must be seen nowhere: what the service has given, and what it was given."""
        keys = [each for each in json.loads(self.there.read_text()).values() if isinstance(each, dict)]
        lines = self.used
        found = [key["token"] for key in keys] + [
            word for line in lines for word in line.split() if "_v1_" in word
        ]
        return sorted({*found, *(token[::-1] for token in found)})

    @property
    def used(self) -> list[str]:
        """What was done with tokens, in order, as the service saw it."""
        path = Path(f"{self.there}.used")
        return path.read_text().splitlines() if path.exists() else []

    def die_after(self, verb: str) -> None:
        """Have it die after the next effect of this verb."""
        Path(f"{self.there}.die").write_text(verb)

    def leaks(self, tokens: Iterable[str]) -> list[str]:
        """Name all places where a token can be seen, in whatever form: state folder, log, and every answer."""
        texts = {text.encode(): token for token in tokens for text in forms(token).values()}
        written = [path for path in (*self.state.rglob("*"), self.log) if path.is_file()]
        places = {str(path): path.read_bytes() for path in written} | dict(self._answers())
        return sorted({place for place, content in places.items() if any(text in content for text in texts)})

    def _answers(self) -> Iterator[tuple[str, bytes]]:
        sagas = self.ask("GET", "/v1/sagas?limit=1000")[1]["sagas"]
        kept = self.ask("GET", "/v1/resources?limit=1000")[1]["resources"]
        routes = [
            "sagas",
            "resources",
            "events",
            "health",
            "providers",
            "metrics",
            "audit/events",
            "batches",
            "audit/verify",
        ]
        routes += [
            f"sagas/{each['id']}{more}" for each in sagas for more in ("", "/why", "/executions", "/events")
        ]
        for each in kept:
            where = f"resources/{each['type']}/{quote(each['name'], safe='')}"
            routes += [where, f"{where}/events"]
        for route in routes:
            status, answer = self.ask("GET", f"/v1/{route}")
            assert status == 200, (route, answer)
            yield route, json.dumps(answer, ensure_ascii=False).encode()


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """One for all tests that do not end it. Each of them must leave no trace of what it was given."""
    access = 'admin = ["root"]\noperator = ["daemon"]\nviewer = ["bin"]'
    # Not below pytest's own folder, which nobody else may enter: others than us are to reach the socket.
    with tempfile.TemporaryDirectory(prefix="sagad-") as folder:
        Path(folder).chmod(0o755)
        made = Shop(Path(folder), f'[daemon]\nsocket_mode = "0666"\n[access]\n{access}\n')
        with made.start(module=MODULE):
            yield made
            assert made.leaks(made.tokens) == []


def create(name: str, **more: Any) -> Step:
    """A step that gets a key."""
    return {"name": "key", "do": "shop.key.create", "with": {"name": name, **more.pop("set", {})}, **more}


def use(say: str = "done", token: str = "${steps.key.token}", name: str = "use", **more: Any) -> Step:
    """A step that does something with it."""
    return {"name": name, "do": "shop.key.use", "with": {"token": token, "say": say}, **more}


def ran(shop: Shop, *steps: Step, **more: Any) -> dict[str, Any]:
    """Run a saga to its end, or to where somebody is needed."""
    return shop.submit({"saga": "rotate", "steps": list(steps), **more})


def token(shop: Shop, name: str) -> str:
    """What the service has given."""
    return str(json.loads(shop.there.read_text())[name]["token"])


def execution(shop: Shop, saga: dict[str, Any], step: str, nature: str = "forward") -> dict[str, Any]:
    """An execution of a step."""
    return next(
        each for each in shop.executions(saga["id"]) if (each["step"], each["nature"]) == (step, nature)
    )


# --- where it would stand, its reference does --------------------------------------------------------------------------


def test_a_sensitive_output_stands_as_its_reference_and_reaches_the_next_driver(shop: Shop) -> None:
    """Also within a longer text, within what is sealed, and in whatever comes back from any driver."""
    done = ran(
        shop,
        create("web"),
        use(),
        use(token="Bearer ${steps.key.token}", name="longer"),
        use(token="${steps.key.pair.secrets.0}", name="within"),
        use(token="${steps.key.pair}", name="whole"),
        {"name": "say", "do": "test.echo", "with": {"message": "${steps.key.token}"}},
    )
    given, own = token(shop, "web"), execution(shop, done, "key")["id"]
    reference = f"${{secret.{own}.token}}"
    outputs = {step["name"]: step["output"] for step in done["steps"]}

    assert done["status"] == "completed", done
    assert outputs["key"]["token"] == reference
    assert outputs["key"]["note"] == f"keep {reference} and ${{secret.{own}.pair}}"
    assert outputs["use"] == {"said": f"used {reference}", "length": len(given)}
    assert outputs["longer"]["said"] == f"used Bearer {reference}"
    assert outputs["say"]["message"] == reference
    assert execution(shop, done, "use")["arguments"] == {"token": reference, "say": "done"}
    assert execution(shop, done, "within")["arguments"]["token"] == f"${{secret.{own}.pair.secrets.0}}"
    assert shop.used[-4:] == [
        f"done {given}",
        f"done Bearer {given}",
        f"done {given[::-1]}",
        f"done { ({'id': outputs['key']['id'], 'secrets': [given[::-1]]}) }",
    ]


def test_what_only_looks_like_the_reference_opens_nothing(shop: Shop) -> None:
    """A driver that puts out the text of another execution's reference gets a text from it."""
    own = execution(shop, ran(shop, create("bait")), "key")["id"]
    bait = f"${{secret.{own}.token}}"
    done = ran(
        shop,
        {"name": "key", "do": "test.echo", "with": {"message": f"${bait}"}},
        use(token="${steps.key.message}"),
    )

    assert done["steps"][0]["output"]["message"] == bait
    assert shop.used[-1] == f"done {bait}"


@pytest.mark.parametrize("field", ["token", "pair.secrets.0"])
def test_no_resource_is_named_by_it(shop: Shop, tmp_path: Path, field: str) -> None:
    """What names a resource is on record as it is: the step fails before anything of it is."""
    path = f"{tmp_path}/${{steps.key.{field}}}"
    put = {"name": "put", "do": "local.file.put", "with": {"path": path, "content": "x"}}
    done = ran(shop, create(f"named-{field}"), put)
    step = done["steps"][1]

    assert (done["status"], step["error"]["code"], step["attempts"]) == ("rolled_back", "secret_name", 0)
    assert "of `local.file.put` write `path` without it" in step["error"]["message"]
    assert list(tmp_path.iterdir()) == []


def test_an_object_in_a_longer_text_fails_the_step_and_is_not_told(shop: Shop) -> None:
    """What a sealed value is shows in the driver call only; one that does not fit is the file's mistake."""
    done = ran(shop, create("long"), use(token="all ${steps.key.pair.secrets}"))
    missing = ran(shop, create("longer"), use(token="${steps.key.pair.nobody}"))

    assert (done["status"], done["error"]["step"]) == ("rolled_back", "use"), done
    assert "cannot be put into a longer string" in done["steps"][1]["error"]["message"]
    assert missing["status"] == "rolled_back", missing
    assert "has no `nobody`" in missing["steps"][1]["error"]["message"]


@pytest.mark.parametrize("say", ["error", "raise", "late"])
def test_what_goes_wrong_does_not_tell(shop: Shop, say: str) -> None:
    """An error's text, an exception's, that of an attempt which was tried again."""
    done = ran(shop, create(say), use(say, retry={"attempts": 3, "delay": "1ms"}, idempotent=True))
    given = token(shop, say) if say == "late" else ""
    told = json.dumps([done, shop.events(done["id"])])

    assert done["status"] == ("completed" if say == "late" else "rolled_back")
    assert (shop.used.count(f"late {given}") == 2) is (say == "late")
    assert "welcome" in told or "cannot go on" in told
    assert "_v1_" not in told


def test_what_is_there_in_part_is_sealed_as_well(shop: Shop) -> None:
    """And taken back by its id, which the driver is given along with the token."""
    done = ran(shop, create("half", set={"half": True}), on_failure="hold")
    given = token(shop, "half")
    shop.say(done["id"], "cancel")
    ended = shop.wait_ended(done["id"])

    assert "no more than ${secret." in done["steps"][0]["error"]["message"]
    assert ended["status"] == "rolled_back"
    assert shop.used[-1].endswith(f"knowing {given}")


def test_undos_and_hooks_get_it_too(shop: Shop) -> None:
    """By `self` and by the step's name; forward again after a retry it is the new one's."""
    done = ran(
        shop,
        create(
            "undone",
            hooks={"applied": use("hook", "${self.token}")},
            undo={"do": "shop.key.use", "with": {"token": "${self.token}", "say": "undo"}},
        )
        | {"hooks": {"applied": {"do": "shop.key.use", "with": {"token": "${self.token}", "say": "hook"}}}},
        use(undo={"do": "shop.key.use", "with": {"token": "${steps.key.token}", "say": "undo-use"}}),
        FAIL,
    )
    given = token(shop, "undone")

    assert done["status"] == "rolled_back", done
    assert shop.used[-4:] == [f"hook {given}", f"done {given}", f"undo-use {given}", f"undo {given}"]


def test_what_an_operator_gives_instead_is_sealed(shop: Shop) -> None:
    """For a step that is skipped, and for one whose outcome is unknown."""
    skipped = ran(shop, {**create("no"), "with": {"name": "no", "half": True}}, use(), on_failure="hold")
    given = "shop_v1_given-by-hand"
    status, answer = shop.say(
        skipped["id"], "skip", step="key", output={"token": given, "note": f"not {given}"}
    )
    ended = shop.wait_ended(skipped["id"])

    assert status == 200, answer
    assert ended["status"] == "completed", ended
    assert ended["steps"][0]["output"]["token"].startswith("${secret.")
    assert ended["steps"][0]["output"]["note"] == f"not {ended['steps'][0]['output']['token']}"
    assert shop.used[-1] == f"done {given}"
    assert shop.leaks([given]) == []
    shown = shop.ask("GET", f"/v1/sagas/{skipped['id']}?reveal=1")[1]
    assert shown["steps"][0]["output"]["token"] == given


def test_what_an_operator_says_came_of_it_is_sealed(shop: Shop) -> None:
    """Of an outcome that is unknown: `resolve --as done` with what the service's page shows."""
    unknown = ran(shop, create("odd"), use())
    given = token(shop, "odd")
    status, answer = shop.say(
        unknown["id"], "resolve", step="key", **{"as": "done"}, output={"id": "key-9", "token": given}
    )
    ended = shop.wait_ended(unknown["id"])

    assert unknown["hold"]["reason"] == "attention", unknown
    assert status == 200, answer
    assert ended["status"] == "completed", ended
    assert ended["steps"][0]["output"]["token"].startswith("${secret.")
    assert shop.used[-1] == f"done {given}"
    assert shop.leaks([given]) == []


def test_a_sensitive_field_of_an_image_is_put_back(shop: Shop) -> None:
    """The before-image has it sealed; guard and undo see it as it was. Another saga's rollback a week later too."""
    first, second = "login_v1_first", "login_v1_second"
    one = ran(shop, {"name": "it", "do": "shop.login.set", "with": {"name": "ann", "password": first}})
    shop.there.write_text(json.dumps(json.loads(shop.there.read_text()) | {"bob": second}))
    turned = ran(
        shop,
        {"name": "it", "do": "shop.login.set", "with": {"name": "bob", "password": "login_v1_third"}},
        FAIL,
    )
    after_turn = json.loads(shop.there.read_text())
    change = execution(shop, turned, "it")
    shop.say(one["id"], "rollback")
    back = shop.wait_ended(shop.ask("GET", "/v1/sagas?limit=1")[1]["sagas"][0]["id"])

    assert (one["status"], turned["status"], back["status"]) == ("completed", "rolled_back", "completed")
    assert after_turn["bob"] == second
    assert "ann" not in json.loads(shop.there.read_text())
    assert change["before"]["password"] == f"${{secret.{change['id']}.before.password}}"
    revealed = shop.ask("GET", f"/v1/sagas/{turned['id']}/executions?reveal=1")[1]["executions"][0]
    assert revealed["before"]["password"] == second
    # What stands in a saga file is no secret: only what the service alone knew may be nowhere.
    assert shop.leaks([second]) == []


def test_a_content_that_holds_it_is_sealed_and_comes_back(shop: Shop) -> None:
    """Small and large, in the record and in the blob folder; the file's owner writes it, sagad gives it back."""
    paths = [shop.site / "small", shop.site / "large"]
    fills = ["", "x" * LARGE]
    made = ran(
        shop,
        create("file"),
        *(
            {
                "name": path.name,
                "do": "local.file.create",
                "with": {"path": str(path), "content": "${steps.key.token}" + fill},
            }
            for path, fill in zip(paths, fills, strict=True)
        ),
    )
    given = token(shop, "file")
    written = [path.read_text() for path in paths]
    other = ran(
        shop,
        *(
            {"name": path.name, "do": "local.file.update", "with": {"path": str(path), "content": "-"}}
            for path in paths
        ),
    )
    kept = shop.executions(other["id"])
    blobs = [path.read_bytes() for path in (shop.state / "blobs").iterdir()]
    leaks = shop.leaks([given])
    shown = shop.ask("GET", f"/v1/sagas/{other['id']}/executions?reveal=1")[1]["executions"]
    shop.say(other["id"], "rollback")
    shop.wait_until(lambda: [path.read_text() for path in paths] == written, 20, "both are back")

    assert (made["status"], other["status"]) == ("completed", "completed")
    assert written == [given + fill for fill in fills]
    assert leaks == []
    assert blobs
    assert not any(b"xxxx" in blob for blob in blobs)
    assert [sorted(each["before"]["contents"]["content"]) for each in kept] == [["sha256", "size"]] * 2
    own = execution(shop, made, "key")["id"]
    assert [each["before"]["contents"]["content"]["text"] for each in shown] == [
        f"${{secret.{own}.token}}{fill}" for fill in fills
    ]


# --- who is shown it ---------------------------------------------------------------------------------------------------


CLIENT = """
import http.client, json, os, socket, sys
path, uid, gid, asked = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
os.setgroups([]); os.setgid(gid); os.setuid(uid)
for route in asked:
    connection = http.client.HTTPConnection("sagad")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(path)
    connection.request("GET", route)
    answer = connection.getresponse()
    print(json.dumps([answer.status, answer.read().decode()]))
"""


def asked_as(shop: Shop, user: str, *routes: str) -> list[tuple[int, str]]:
    """Ask as another user, in a process of his own."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    who = pwd.getpwnam(user)
    words = [str(shop.socket), str(who.pw_uid), str(who.pw_gid), json.dumps(routes)]
    ended = subprocess.run([sys.executable, "-c", CLIENT, *words], check=True, capture_output=True, text=True)
    return [tuple(json.loads(line)) for line in ended.stdout.splitlines()]


def routes_of(saga: dict[str, Any], name: str, more: str = "?reveal=1") -> list[str]:
    """The three places where something can be revealed."""
    return [
        f"/v1/sagas/{saga['id']}{more}",
        f"/v1/sagas/{saga['id']}/executions{more}",
        f"/v1/resources/shop.key/{name}{more}",
    ]


@pytest.mark.parametrize("user", ["daemon", "bin"])
def test_operators_and_viewers_are_refused_and_nothing_is_on_record(shop: Shop, user: str) -> None:
    """403, saying whom to ask; without `reveal` they see the reference, an image's size and digest."""
    done = ran(shop, create(user))
    given, own = token(shop, user), execution(shop, done, "key")["id"]
    refused = asked_as(shop, user, *routes_of(done, user))
    seen = asked_as(shop, user, *routes_of(done, user, ""), *routes_of(done, user, "?reveal=0"))

    assert [status for status, _ in refused] == [403] * 3
    assert all("admin" in text and given not in text for _, text in refused)
    assert [status for status, _ in seen] == [200] * 6
    assert all(given not in text for _, text in seen)
    assert f"${{secret.{own}.token}}" in seen[0][1]
    assert f"${{secret.{own}.token}}" in seen[2][1]
    assert [each["type"] for each in shop.events(done["id"]) if each["type"] == "secret.revealed"] == []


def test_an_admin_is_shown_it_and_that_is_on_record(shop: Shop) -> None:
    """Who, what and why; of the saga, and of the resource. The record still replays."""
    done = ran(shop, create("shown"), use())
    given = token(shop, "shown")
    saga = shop.ask("GET", f"/v1/sagas/{done['id']}?reveal=1&reason=the%20customer%20asked")[1]
    resource = shop.ask("GET", "/v1/resources/shop.key/shown?reveal=true")[1]
    of_saga = [each for each in shop.events(done["id"]) if each["type"] == "secret.revealed"]
    events = shop.ask("GET", "/v1/resources/shop.key/shown/events")[1]["events"]
    of_resource = [each for each in events if each["type"] == "secret.revealed"]
    me = pwd.getpwuid(os.getuid()).pw_name

    assert saga["steps"][0]["output"]["token"] == resource["outputs"]["token"] == given
    assert saga["steps"][0]["output"]["pair"]["secrets"] == [given[::-1]]
    assert given not in json.dumps(saga["steps"][1])
    assert [(each["actor"], each["data"]) for each in of_saga] == [
        (me, {"what": ["steps.key.token", "steps.key.pair"], "reason": "the customer asked"})
    ]
    assert [(each["actor"], each["saga"], each["resource"], each["data"]) for each in of_resource] == [
        (me, None, "shop.key/shown", {"what": ["outputs.token", "outputs.pair"]})
    ]
    assert shop.ask("GET", "/v1/audit/replay")[1]["ok"] is True
    assert shop.ask("GET", "/v1/audit/verify")[1]["ok"] is True


def test_sagactl_shows_it(shop: Shop, tmp_path: Path) -> None:
    """`show`, `executions` and `resources show`, with `--reveal`, and a reason."""
    path = tmp_path / "page"
    path.write_text("what was there\\n")
    done = ran(
        shop,
        create("typed"),
        {"name": "page", "do": "local.file.put", "with": {"path": str(path), "content": "-"}},
    )
    given = token(shop, "typed")

    def sagactl(*words: str) -> str:
        command = [str(SCRIPT), "--socket", str(shop.socket), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    commands = [("show", done["id"]), ("executions", done["id"]), ("resources", "show", "shop.key", "typed")]
    plain = [sagactl(*command) for command in commands]
    shown = [sagactl(*command, "--reveal", "--reason", "lunch") for command in commands]
    reasons = [
        each["data"].get("reason") for each in shop.events(done["id"]) if each["type"] == "secret.revealed"
    ]

    assert not any(given in text or "what was there" in text for text in plain)
    assert [given in shown[0], "what was there" in shown[1], given in shown[2]] == [True] * 3
    assert reasons == ["lunch"] * 2


# --- whatever happens to the process -----------------------------------------------------------------------------------


def alone(tmp_path: Path, **more: Any) -> Shop:
    """One that may die."""
    return Shop(tmp_path / "alone", **more)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Shop]:
    """A daemon for one test."""
    (tmp_path / "alone").mkdir()
    with alone(tmp_path).start(module=MODULE) as made:
        yield made


def died(shop: Shop, *steps: Step) -> str:
    """Submit a saga over which the daemon dies, and start it again; give the saga."""
    with suppress(OSError):
        shop.submit({"saga": "rotate", "steps": list(steps)})
    assert shop.process is not None
    shop.process.wait(10)
    shop.start(module=MODULE)
    return str(shop.ask("GET", "/v1/sagas")[1]["sagas"][0]["id"])


def test_killed_between_effect_and_outcome_it_is_found_sealed_and_used(own: Shop) -> None:
    """One key ever; nothing of it anywhere, before the next start and after; the next step gets it."""
    own.die_after("create")
    saga = died(own, create("one"), use())
    done = own.wait_ended(saga)
    given = token(own, "one")

    assert done["status"] == "completed", done
    assert json.loads(own.there.read_text())["made"] == 1
    assert own.used == [f"done {given}"]
    assert own.leaks(own.tokens) == []


def test_a_saga_goes_on_with_it_after_a_kill(own: Shop) -> None:
    """Forward, in its undos, and in the rollback of a saga that another process ran; what was given by hand too."""
    ended = ran(
        own,
        create("old"),
        use(undo={"do": "shop.key.use", "with": {"token": "${steps.key.token}", "say": "undo"}}),
    )
    held = ran(own, create("mid"), FAIL | {"name": "fail"}, use(), on_failure="hold")
    by_hand = ran(own, create("half", set={"half": True}), FAIL | {"name": "fail"}, use(), on_failure="hold")
    own.say(by_hand["id"], "skip", step="key", output={"token": "shop_v1_by-hand"})
    own.wait_ended(by_hand["id"])
    own.kill()
    own.start(module=MODULE)
    own.say(by_hand["id"], "skip", step="fail")
    by_hand = own.wait_ended(by_hand["id"])
    told = ran(own, use(token=token(own, "old"), name="told"))
    own.say(held["id"], "skip", step="fail")
    held = own.wait_ended(held["id"])
    own.say(ended["id"], "rollback")
    own.wait_until(lambda: "old" not in json.loads(own.there.read_text()), 20, "it is taken back")
    old = [line.split()[1] for line in own.used if line.startswith("undo")]

    assert (held["status"], by_hand["status"]) == ("completed", "completed")
    assert "done shop_v1_by-hand" in own.used
    assert own.used.count(f"done {token(own, 'mid')}") == 1
    assert told["steps"][0]["output"]["said"].startswith("used ${secret.")
    assert len(old) == 1
    assert own.used[-1].endswith(f"knowing {old[0]}")
    # It was sent as an argument once, in clear: there it stands, as whoever wrote it there knows.
    assert own.leaks([token(own, "mid")]) == []


@pytest.mark.parametrize("verb", ["create", "delete"])
def test_killed_on_the_way_back_it_ends_as_without(own: Shop, verb: str) -> None:
    """The undo is told what it was."""
    own.die_after(verb)
    saga = died(own, create("gone"), FAIL)
    done = own.wait_ended(saga)

    assert done["status"] == "rolled_back", done
    assert "gone" not in json.loads(own.there.read_text())
    assert own.leaks(own.tokens) == []
    assert "_v1_" in own.used[-1] or verb == "delete"


def test_a_copy_of_the_state_folder_is_as_sealed_and_opens_with_its_key(own: Shop, tmp_path: Path) -> None:
    """A backup; without the key nothing starts over it."""
    done = ran(own, create("kept"))
    given = token(own, "kept")
    own.stop()
    (tmp_path / "copy").mkdir()
    copy = Shop(tmp_path / "copy" / "of")
    shutil.copytree(own.state, copy.state, ignore=shutil.ignore_patterns("lock"))
    shutil.copy(own.there, copy.there)
    with copy.start(module=MODULE):
        shown = copy.ask("GET", f"/v1/sagas/{done['id']}?reveal=1")[1]
        leaks = copy.leaks([given])
    (copy.state / "node.key").unlink()
    with pytest.raises(Exception, match="node's key is missing"):
        copy.start(module=MODULE)

    assert shown["steps"][0]["output"]["token"] == given
    assert leaks == []


# --- what cannot be opened ---------------------------------------------------------------------------------------------


def tamper(shop: Shop, sql: str) -> None:
    """Stop it, change the sealed row behind its back, start it again."""
    shop.stop()
    with closing(sqlite3.connect(shop.state / "sagad.db", isolation_level=None)) as db:
        assert db.execute(sql).rowcount > 0
    shop.start(module=MODULE)


def test_a_damaged_value_stops_only_what_needs_it(own: Shop) -> None:
    """The step holds and says what to do; others run; the key is deleted all the same; a value put back is used."""
    held = ran(own, create("bad"), FAIL | {"name": "fail"}, use(), on_failure="hold")
    good = token(own, "bad")
    own.stop()
    shutil.copy(own.state / "sagad.db", own.folder / "before.db")
    own.start(module=MODULE)
    tamper(
        own,
        "UPDATE sealed SET box = cast(substr(box, 1, length(box) - 1) || x'00' AS BLOB) WHERE name = 'token'",
    )
    own.say(held["id"], "skip", step="fail")
    stuck = own.wait_ended(held["id"])
    fine = ran(own, create("fine"), use())
    status, problem = own.ask("GET", f"/v1/sagas/{held['id']}?reveal=1")
    health = own.ask("GET", "/v1/health")[1]
    with closing(sqlite3.connect(own.state / "sagad.db", isolation_level=None)) as db:
        own.stop()
        db.execute(f"ATTACH '{own.folder / 'before.db'}' AS b")
        db.execute("INSERT OR REPLACE INTO sealed SELECT * FROM b.sealed")
    own.start(module=MODULE)
    own.say(held["id"], "retry")
    own.wait_until(lambda: own.saga(held["id"])["status"] == "completed", 20, "it goes on")

    assert stuck["hold"]["reason"] == "attention"
    assert "token`: What was sealed here cannot be opened" in stuck["hold"]["detail"]
    assert "backup" in stuck["hold"]["detail"]
    assert fine["status"] == "completed"
    assert (status, problem["code"]) == (409, "unopened")
    assert any("cannot be opened" in text for text in health["warnings"])
    assert own.used[-1] == f"done {good}"
    assert "Traceback" not in own.log.read_text()


def test_a_value_of_another_key_keeps_nothing_from_being_taken_back(own: Shop) -> None:
    """The undo needs the id alone."""
    done = ran(own, create("alien"), use())
    tamper(own, "UPDATE sealed SET box = cast(substr(box, 1, 9) || 'otherkey' || substr(box, 18) AS BLOB)")
    health = own.ask("GET", "/v1/health")[1]
    status, problem = own.ask("GET", "/v1/resources/shop.key/alien?reveal=1")
    own.say(done["id"], "rollback")
    own.wait_until(lambda: "alien" not in json.loads(own.there.read_text()), 20, "it is taken back")

    assert health["warnings"] == []  # nothing has needed it yet
    assert status == 409
    assert "sealed with another key" in problem["detail"]
    assert "key_file" in problem["detail"]
    assert own.used[-1].endswith("knowing None")
    assert "Traceback" not in own.log.read_text()


# --- that the search finds something -----------------------------------------------------------------------------------


def test_a_driver_that_forgets_to_say_so_is_found(tmp_path: Path) -> None:
    """The planted mistake: then the token is in the database and in the answers, and the search says where."""
    (tmp_path / "alone").mkdir()
    with alone(tmp_path).start(module=(*MODULE, "leaky")) as leaky:
        done = ran(leaky, create("seen"), use())
        leaks = leaky.leaks(leaky.tokens)

    assert done["status"] == "completed"
    assert any(".db" in place for place in leaks)
    assert {f"sagas/{done['id']}", f"sagas/{done['id']}/executions", "resources/shop.key/seen"} <= {*leaks}


@pytest.mark.parametrize("form", ["raw", "url", "base64"])
def test_a_token_in_any_file_is_found(own: Shop, form: str) -> None:
    """Wherever below the state folder, and as it travels."""
    ran(own, create("planted"))
    (own.state / "blobs" / "deep").mkdir(parents=True)
    (own.state / "blobs" / "deep" / "file").write_text("..." + forms(token(own, "planted"))[form])

    assert own.leaks(own.tokens) == [str(own.state / "blobs" / "deep" / "file")]
