from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.errors import SecretUnusable
from store.secrets import Secrets

KEY = b"k" * 32


class Clock:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the secrets."""
    return Clock()


@pytest.fixture
def secrets(tmp_path: Path, clock: Clock) -> Secrets:
    """Secrets of one folder."""
    return Secrets([tmp_path], KEY, clock=clock)


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"hunter2", "hunter2"), (b"hunter2\n", "hunter2"), (b"two\nlines\n\n", "two\nlines\n")],
)
def test_a_value_is_the_file_less_one_newline(
    secrets: Secrets, tmp_path: Path, content: bytes, value: str
) -> None:
    """An editor adds one newline; what else is there is meant."""
    (tmp_path / "token").write_bytes(content)

    assert secrets.get("token") == value


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent", None, "there is no such file in"),
        ("../lock", None, "a name is made of"),
        (".hidden", None, "a name is made of"),
        ("", None, "a name is made of"),
        ("latin", b"caf\xe9 caf\xe9", "not UTF-8"),
        ("short", b"abc\n", "3 characters"),
    ],
)
def test_what_cannot_be_used_says_why_and_what_to_do(
    secrets: Secrets, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    """The message names the secret, and never holds its value."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SecretUnusable, match=said) as refusal:
        secrets.get(name)

    assert name in str(refusal.value)
    assert SecretUnusable.remedy in str(refusal.value)
    assert "abc" not in str(refusal.value)


def test_the_first_folder_that_has_a_name_counts(tmp_path: Path) -> None:
    """The settings' folder before systemd's."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "token").write_text(f"from {folder}")
    (tmp_path / "two" / "other").write_text("other one")
    secrets = Secrets([tmp_path / "absent", tmp_path / "one", tmp_path / "two"], KEY)

    assert (secrets.get("token"), secrets.get("other")) == ("from one", "other one")


def test_a_changed_file_is_read_anew(secrets: Secrets, tmp_path: Path) -> None:
    """No restart for a rotated token."""
    (tmp_path / "token").write_text("first one")
    before = secrets.get("token")
    (tmp_path / "new").write_text("the second")
    (tmp_path / "new").rename(tmp_path / "token")

    assert (before, secrets.get("token")) == ("first one", "the second")


def test_every_file_is_known_without_having_been_asked_for(
    secrets: Secrets, tmp_path: Path, clock: Clock
) -> None:
    """A before-image may hold a secret that no saga ever named; a new file is seen within a second."""
    (tmp_path / "token").write_text("hunter2")
    first = secrets.redact("hunter2 swordfish")
    (tmp_path / "fish").write_text("swordfish")
    clock.now += 1.0

    assert first == "${secret.token} swordfish"
    assert secrets.redact("hunter2 swordfish") == "${secret.token} ${secret.fish}"


def test_an_old_value_is_kept_out_as_long_as_we_run(secrets: Secrets, tmp_path: Path) -> None:
    """A call that was given it may answer after the file has changed."""
    (tmp_path / "token").write_text("first one")
    secrets.get("token")
    (tmp_path / "token").write_text("the second")
    secrets.get("token")

    assert secrets.redact("first one, the second") == "${secret.token}, ${secret.token}"


def test_a_folder_that_is_not_there_means_no_secrets(tmp_path: Path) -> None:
    """A node may have none."""
    assert Secrets([tmp_path / "absent"], KEY).redact({"a": "b"}) == {"a": "b"}


def test_the_nodes_key_is_no_secret_to_be_used(tmp_path: Path) -> None:
    """Where it lies in the same folder, as a credential of systemd's does: a step could send it somewhere."""
    (tmp_path / "key").write_text("k" * 32)
    secrets = Secrets([tmp_path], KEY, key_file=tmp_path / "key")

    with pytest.raises(SecretUnusable, match="no such file"):
        secrets.get("key")


def test_contents_go_in_and_out_whole(secrets: Secrets, tmp_path: Path) -> None:
    """What a driver keeps as a before-image comes back to the byte."""
    (tmp_path / "token").write_text("hunter2")
    stored = b"".join(secrets.redact_bytes([b"pw=hun", b"ter2\n"]))

    assert b"hunter2" not in stored
    assert b"".join(secrets.reveal_bytes([stored])) == b"pw=hunter2\n"


def test_a_fingerprint_changes_with_a_value_and_with_nothing_else(secrets: Secrets, tmp_path: Path) -> None:
    """Neither the order of names nor the file's time counts."""
    for name, value in (("a", "value a"), ("b", "value b")):
        (tmp_path / name).write_text(value)
    before = secrets.fingerprint(["a", "b"])
    (tmp_path / "a").write_text("value a\n")
    same = secrets.fingerprint(["b", "a", "b"])
    (tmp_path / "a").write_text("value c")

    assert same == before
    assert secrets.fingerprint(["a", "b"]) != before
    assert "value" not in before


@contextmanager
def _no_descriptors() -> Iterator[None]:
    """Leave this process no file descriptor that it has not got."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_without_file_descriptors_what_is_known_is_redacted_all_the_same(
    secrets: Secrets, tmp_path: Path, clock: Clock
) -> None:
    """Found by torture: an outcome could not be written down, and its actor crashed, again and again."""
    (tmp_path / "token").write_text("hunter2")
    secrets.redact("")
    clock.now += 10
    with _no_descriptors():
        told = secrets.redact("it said hunter2")

    assert told == "it said ${secret.token}"


def test_without_file_descriptors_nothing_is_said_before_the_secrets_are_known(
    secrets: Secrets, tmp_path: Path
) -> None:
    """What an earlier daemon gave out may come back."""
    (tmp_path / "token").write_text("hunter2")
    with _no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        secrets.redact("it said hunter2")
