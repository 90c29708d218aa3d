"""Sensitive outputs: what lies on the disk says nothing, and what cannot be opened says why."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from actors.unneeded import drop_unneeded
from store.errors import SealBroken, SealedElsewhere, SealMissing, SecretUnusable
from store.journal import Journal
from store.queries import Queries
from store.records import Resource, ResourceChange, Sealed
from store.redaction import forms
from store.runner import Inline
from store.sealed import reference, referred
from store.sealing import Sealer
from store.secrets import Secrets
from store.vault import rows_in
from tests.unit.store.samples import AT, KEY, began, submitted, went_on

EXECUTION = "0123456789ab"
TOKEN = "dop_v1_not-to-be-seen"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[Journal]:
    """A journal over a new database."""
    journal = Journal.open(path, KEY, Inline(), reserve=0)
    yield journal
    await journal.close()


@pytest.fixture
def secrets(path: Path, journal: Journal) -> Callable[[], Secrets]:
    """Secrets as another process has them, of what is on the disk by now."""
    return lambda: Secrets([], KEY, database=path)


async def kept(journal: Journal, secrets: Secrets, value: Any = TOKEN, saga: str = "a") -> Sealed:
    """A saga with an execution that has put it out."""
    await journal.commit(submitted(saga))
    await journal.commit(began(saga, EXECUTION))
    row = secrets.seal(EXECUTION, "token", value)
    commit = went_on(saga)
    commit.sealed = [row]
    await journal.commit(commit)
    return row


def tampered(path: Path, sql: str, *values: Any) -> None:
    """Change it behind the back of sagad."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(sql, values).rowcount == 1


@pytest.mark.parametrize(
    "value", [TOKEN, "", "ü\n", 7, 1.5, True, ["a", {"b": None}], {"uri": f"pg://{TOKEN}"}]
)
async def test_a_value_comes_back_from_the_disk_as_it_was(
    journal: Journal, secrets: Callable[[], Secrets], path: Path, value: Any
) -> None:
    """Whatever JSON it is; and no form of it is on the disk."""
    await kept(journal, secrets(), value)
    lying = b"".join(each.read_bytes() for each in path.parent.iterdir() if each.is_file())

    assert secrets().value(f"{EXECUTION}.token") == value
    assert [form for form, text in forms(TOKEN).items() if text.encode() in lying] == []


async def test_what_is_within_a_value_can_be_had(journal: Journal, secrets: Callable[[], Secrets]) -> None:
    """A reference may go on behind the output's name; where there is nothing it says so."""
    await kept(journal, secrets(), {"users": [{"password": TOKEN}]})

    assert secrets().value(f"{EXECUTION}.token.users.0.password") == TOKEN
    with pytest.raises(SealMissing, match="has no `1`"):
        secrets().value(f"{EXECUTION}.token.users.1")


def test_what_is_shown_beside_it_and_what_is_short_is_left_alone() -> None:
    """An object has more in it than what is secret: an id, a port, a region."""
    secrets = Secrets([], KEY)
    pair = {"id": "4711-4711-4711", "port": 5432, "region": "ams3", "password": TOKEN}
    secrets.seal(EXECUTION, "pair", pair, {"4711-4711-4711"})
    said = f"4711-4711-4711 5432 ams3 {TOKEN}"

    assert secrets.redact(said) == f"4711-4711-4711 5432 ams3 {reference(EXECUTION, 'pair')}"


@pytest.mark.parametrize("value", [TOKEN, ["x", TOKEN], {"a": {"b": TOKEN}}])
async def test_a_value_is_kept_out_of_what_comes_back_from_then_on(
    journal: Journal, secrets: Callable[[], Secrets], value: Any
) -> None:
    """At once, and in the next process without anybody having asked for it; also as it travels in an address."""
    first = secrets()
    await kept(journal, first, value)
    said = {"note": f"your token is {TOKEN}", "number": 3}
    expected = {"note": f"your token is {reference(EXECUTION, 'token')}", "number": 3}

    assert first.redact(said) == expected
    assert secrets().redact(said) == expected


def test_a_number_is_recognised_and_what_is_too_short_is_not_looked_for() -> None:
    """A value of one letter would be found everywhere."""
    secrets = Secrets([], KEY)
    secrets.seal(EXECUTION, "pin", 482_913)
    secrets.seal(EXECUTION, "bit", "a")

    assert secrets.redact("pin 482913, a") == f"pin {reference(EXECUTION, 'pin')}, a"


def test_the_longest_is_replaced_first_whichever_came_first() -> None:
    """A password, and the address that it is part of."""
    secrets = Secrets([], KEY)
    secrets.seal(EXECUTION, "password", TOKEN)
    secrets.seal(EXECUTION, "uri", f"pg://me:{TOKEN}@db")

    assert secrets.redact(f"at pg://me:{TOKEN}@db") == f"at {reference(EXECUTION, 'uri')}"


def test_a_content_may_hold_it_and_needs_it_not_to_come_back(tmp_path: Path) -> None:
    """It is sealed itself, and may outlive the value's row. A file's secret is a mark as ever."""
    (tmp_path / "pass").write_text("hunter2")
    secrets = Secrets([tmp_path], KEY)
    secrets.seal(EXECUTION, "token", TOKEN)
    content = f"{TOKEN} hunter2".encode()
    stored = b"".join(secrets.redact_bytes([content]))

    assert b"hunter2" not in stored
    assert b"".join(Secrets([tmp_path], KEY).reveal_bytes([stored])) == content
    assert secrets.legible(stored) == f"{TOKEN} ${{secret.pass}}".encode()


# --- what cannot be opened ---------------------------------------------------------------------------------------------


async def test_another_key_is_named_as_such_and_only_that_value_is_lost(
    journal: Journal, secrets: Callable[[], Secrets], path: Path
) -> None:
    """As after a row of another node's was put in; the others open."""
    await kept(journal, secrets())
    other = Secrets([], b"another key".ljust(32)).seal(EXECUTION, "token", TOKEN)
    commit = went_on("a")
    commit.sealed = [secrets().seal(EXECUTION, "good", "a good one")]
    await journal.commit(commit)
    tampered(path, "UPDATE sealed SET box = ? WHERE name = 'token'", other.box)
    opened = secrets()

    with pytest.raises(SealedElsewhere, match=rf"secret `{EXECUTION}.token`.*key_file"):
        opened.value(f"{EXECUTION}.token")
    assert opened.value(f"{EXECUTION}.good") == "a good one"
    assert [EXECUTION in each for each in opened.vault.broken] == [True]


@pytest.mark.parametrize("box", [b"", b"x", b"x" * 100])
async def test_damage_is_named_as_such(
    journal: Journal, secrets: Callable[[], Secrets], path: Path, box: bytes
) -> None:
    """Whatever lies there now."""
    await kept(journal, secrets())
    tampered(path, "UPDATE sealed SET box = ?", box)

    with pytest.raises(SealBroken, match=rf"secret `{EXECUTION}.token`.*backup"):
        secrets().value(f"{EXECUTION}.token")
    assert secrets().redact(TOKEN) == TOKEN


async def test_each_byte_counts(journal: Journal, secrets: Callable[[], Secrets], path: Path) -> None:
    """Of head, salt, value and tag."""
    row = await kept(journal, secrets())
    for at in range(len(row.box)):
        box = bytearray(row.box)
        box[at] ^= 0x40
        tampered(path, "UPDATE sealed SET box = ?", bytes(box))
        with pytest.raises(SealBroken):
            secrets().value(f"{EXECUTION}.token")


async def test_a_value_does_not_open_in_anothers_place(
    journal: Journal, secrets: Callable[[], Secrets], path: Path
) -> None:
    """Whoever can write into the file cannot have another secret sent somewhere."""
    await kept(journal, secrets())
    tampered(path, "UPDATE sealed SET name = 'id'")

    with pytest.raises(SealBroken, match="another's place"):
        secrets().value(f"{EXECUTION}.id")


def test_what_is_not_there_says_so() -> None:
    """Its row went with its saga's record."""
    with pytest.raises(SealMissing, match=r"0123456789ab\.token"):
        Secrets([], KEY).value(f"{EXECUTION}.token")


def test_a_file_may_have_such_a_name(tmp_path: Path) -> None:
    """What is sealed comes first."""
    (tmp_path / f"{EXECUTION}.token").write_text("of a file")
    secrets = Secrets([tmp_path], KEY)
    of_file = secrets.value(f"{EXECUTION}.token")
    secrets.seal(EXECUTION, "token", TOKEN)

    assert (of_file, secrets.value(f"{EXECUTION}.token")) == ("of a file", TOKEN)
    with pytest.raises(SecretUnusable):
        secrets.value("no-such")


def test_the_sealing_key_is_none_of_the_other_keys() -> None:
    """The node's key signs the record's head; from what is sealed nothing about it follows."""
    one, other = Sealer(KEY), Sealer(KEY)

    assert KEY not in vars(one).values()
    assert b"".join(one.seal([b"x"], b"")) != b"".join(other.seal([b"x"], b""))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (reference(EXECUTION, "token"), f"{EXECUTION}.token"),
        (f"{reference(EXECUTION, 'token')} ", None),
        ("${secret.token}", None),
        (f"$${{secret.{EXECUTION}.token}}", None),
        (7, None),
    ],
)
def test_a_reference_is_the_whole_text(text: Any, name: str | None) -> None:
    """And has the form that is made here."""
    assert referred(text) == name


# --- as long as anything may need it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", ["resources", "arguments", "plan", "plans", "saga"])
async def test_what_something_may_need_stays(
    journal: Journal, queries: Queries, secrets: Callable[[], Secrets], path: Path, holder: str
) -> None:
    """Its saga, a resource's record, an execution of another saga, or what such a one is yet to do; then it goes."""
    await kept(journal, secrets())
    text = reference(EXECUTION, "token").encode()
    other = submitted("b")
    if holder == "resources":
        record = Resource("t", "i", "n", "i", b"{}", 1, b'{"token":"%b"}' % text, "a", EXECUTION, AT, AT)
        other.resources = [ResourceChange("t", "i", record)]
    await journal.commit(other)
    await journal.commit(began("b", "e2"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        if holder in ("arguments", "plan"):
            db.execute(f"UPDATE executions SET {holder} = ? WHERE id = 'e2'", (b"{%b}" % text,))
        if holder == "plans":
            db.execute("UPDATE plans SET body = ?", (b"before " + text,))
        if holder != "saga":
            for table in ("executions", "sagas"):
                db.execute(f"DELETE FROM {table} WHERE number = 1")
    held = await drop_unneeded(journal, queries)
    there = rows_in(path)()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for sql in ("DELETE FROM resources", "DELETE FROM executions", "DELETE FROM sagas"):
            db.execute(sql)
    dropped = await drop_unneeded(journal, queries)

    assert (held, len(there), dropped, rows_in(path)()) == (0, 1, 1, [])


def test_nothing_is_imported_for_it_before_it_is_needed(tmp_path: Path) -> None:
    """A node that has nothing to seal does not pay for it (SPEC §11)."""
    program = (
        "import sys; from pathlib import Path; from store.secrets import Secrets; from store.blobs import Blobs\n"
        "secrets = Secrets([], bytes(32)); secrets.redact({'a': 'b'})\n"
        "Blobs(Path(sys.argv[1]), bytes(32)).keep([]); print('cryptography' in sys.modules)\n"
        "secrets.seal('0123456789ab', 'token', 'value'); print('cryptography' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "blobs")]
    ended = run(command, check=True, capture_output=True, text=True)

    assert ended.stdout.split() == ["False", "True"]
