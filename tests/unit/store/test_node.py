from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from store.errors import FolderInUse, FolderNotOurs, KeyExposed, KeyMissing, TwoKeys
from store.node import StateFolder

HOLD = "import sys; from pathlib import Path; from store.node import StateFolder; StateFolder.open(Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Nothing in it is for others, whatever the umask."""
    before = os.umask(0)
    try:
        with StateFolder.open(tmp_path / "deep" / "state") as folder:
            modes = {path.name: path.stat().st_mode & 0o777 for path in folder.path.iterdir()}
            modes["."] = folder.path.stat().st_mode & 0o777
    finally:
        os.umask(before)

    assert modes == {".": 0o700, "lock": 0o600, "node.key": 0o600}


def test_a_folder_that_others_may_enter_is_closed_to_them(tmp_path: Path) -> None:
    """A StateDirectory is 0755 unless told otherwise."""
    tmp_path.chmod(0o755)
    with StateFolder.open(tmp_path):
        pass

    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_the_key_stays_the_same(tmp_path: Path) -> None:
    """It is made once."""
    with StateFolder.open(tmp_path) as folder:
        first = folder.node_key
    with StateFolder.open(tmp_path) as folder:
        second = folder.node_key

    assert len(first) == 32
    assert second == first


@pytest.mark.slow
def test_the_second_one_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    """The lock is the kernel's: it ends with the process, also with kill -9."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(FolderInUse, match=f"process {other.pid}"):
            StateFolder.open(tmp_path)
        other.kill()
        other.wait()
    with StateFolder.open(tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """Whoever owns it could change it behind our back."""
    os.chown(tmp_path, 12_345, -1)

    with pytest.raises(FolderNotOurs, match="user 12345"):
        StateFolder.open(tmp_path)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """It may have been read already; the operator decides."""
    with StateFolder.open(tmp_path):
        pass
    (tmp_path / "node.key").chmod(0o640)

    with pytest.raises(FolderNotOurs, match="chmod 0600"):
        StateFolder.open(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_database_without_its_key_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A new key would make the whole record look forged."""
    with StateFolder.open(tmp_path) as folder:
        folder.database.touch()
    (tmp_path / "node.key").unlink()
    if content is not None:
        (tmp_path / "node.key").write_bytes(content)
        (tmp_path / "node.key").chmod(0o600)

    with pytest.raises(KeyMissing):
        StateFolder.open(tmp_path)


# --- a key that lies elsewhere ----------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A key in a file of its own."""
    path = tmp_path / "credentials" / "key"
    path.parent.mkdir()
    path.write_bytes(b"e" * 32)
    path.chmod(0o600)
    return path


def test_a_key_elsewhere_is_the_nodes_and_none_is_made(tmp_path: Path, elsewhere: Path) -> None:
    """Whoever takes the state folder has not got it."""
    with StateFolder.open(tmp_path / "state", elsewhere) as folder:
        assert folder.node_key == b"e" * 32
        assert not (folder.path / "node.key").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_elsewhere_that_others_may_read_is_refused(tmp_path: Path, elsewhere: Path, mode: int) -> None:
    """With what to do."""
    elsewhere.chmod(mode)

    with pytest.raises(KeyExposed, match=rf"mode 0{mode:o}\): run chmod 0600 {elsewhere}"):
        StateFolder.open(tmp_path / "state", elsewhere)


def test_a_credential_shows_the_groups_bits_that_its_acl_has(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systemd gives a service's user the right to read it in this way; but never others."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(elsewhere.parent))
    elsewhere.chmod(0o440)
    with StateFolder.open(tmp_path / "state", elsewhere):
        pass
    elsewhere.chmod(0o444)

    with pytest.raises(KeyExposed, match="0444"):
        StateFolder.open(tmp_path / "state", elsewhere)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_user_is_refused(tmp_path: Path, elsewhere: Path) -> None:
    """He could have read it, and can put another in its place."""
    os.chown(elsewhere, 12_345, -1)

    with pytest.raises(KeyExposed, match="chown"):
        StateFolder.open(tmp_path / "state", elsewhere)


@pytest.mark.parametrize("content", [None, b"short", b"e" * 33])
def test_a_key_elsewhere_that_is_none_is_refused(
    tmp_path: Path, elsewhere: Path, content: bytes | None
) -> None:
    """It is never made by us there, and says how to make one."""
    elsewhere.unlink()
    if content is not None:
        elsewhere.write_bytes(content)
        elsewhere.chmod(0o600)

    with pytest.raises(KeyMissing, match="urandom" if content is None else "bytes, not 32"):
        StateFolder.open(tmp_path / "state", elsewhere)


def test_two_keys_that_differ_are_refused(tmp_path: Path, elsewhere: Path) -> None:
    """The record goes by one of them; the same one twice is no harm."""
    with StateFolder.open(tmp_path / "state") as folder:
        own = folder.node_key
    with pytest.raises(TwoKeys, match="is another"):
        StateFolder.open(tmp_path / "state", elsewhere)
    elsewhere.write_bytes(own)

    with StateFolder.open(tmp_path / "state", elsewhere) as folder:
        assert folder.node_key == own
