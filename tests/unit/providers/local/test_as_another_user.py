"""A daemon that is not root: what it could not put back it refuses beforehand, the rest it does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else"),
]

NOBODY = 65534
ROOM = Path(__file__).parents[4]

PROGRAM = """
import asyncio, ctypes, os, sys
from pathlib import Path
sys.path.insert(0, {room!r})
from anyio import to_thread
from providers.contract import Ended
from providers.local import LocalDirectory, LocalFile, LocalSymlink
from tests.conformance import MemoryBlobs
from tests.unit.providers.local.calls import done, undo_of

async def main(driver, verb, arguments):
    await to_thread.run_sync(int)
    os.setgroups([])  # only now: the interpreter may lie where nobody else may look, and imports late
    os.setgid({nobody})
    os.setuid({nobody})
    driver = driver({{"roots": [{here!r}]}}, MemoryBlobs())
    try:
        call, outcome = await done(driver, verb, **arguments)
        print("done", type(await driver.apply(undo_of(call, outcome))).__name__)
    except Ended as ended:
        print(ended.outcome.code)

asyncio.run(main({driver}, {verb!r}, {arguments!r}))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        os.chown(path, NOBODY, NOBODY)
        yield path


def _said(here: Path, driver: str, verb: str, **arguments: object) -> str:
    arguments["path"] = f"{here}/page"
    program = PROGRAM.format(
        room=str(ROOM), here=str(here), driver=driver, verb=verb, arguments=arguments, nobody=NOBODY
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return ran.stdout.strip() or ran.stderr


@pytest.mark.parametrize(
    ("driver", "verb", "arguments"),
    [
        ("LocalFile", "update", {"content": "new"}),
        ("LocalFile", "put", {"content": "new"}),
        ("LocalFile", "delete", {}),
    ],
)
def test_a_file_of_another_owner_is_refused(
    open_folder: Path, driver: str, verb: str, arguments: dict[str, object]
) -> None:
    """The folder allows it, but nobody could give it back to root."""
    (open_folder / "page").write_text("old")
    (open_folder / "page").chmod(0o644)

    assert _said(open_folder, driver, verb, **arguments) == "cannot_put_back"
    assert (open_folder / "page").read_text() == "old"


def test_a_file_in_a_tree_of_another_owner_is_refused(open_folder: Path) -> None:
    """One is enough."""
    (open_folder / "page/sub").mkdir(parents=True)
    os.chown(open_folder / "page", NOBODY, NOBODY)

    assert _said(open_folder, "LocalDirectory", "delete", recursive=True) == "cannot_put_back"
    assert (open_folder / "page/sub").exists()


def test_a_symlink_of_another_owner_is_refused(open_folder: Path) -> None:
    """A symlink has an owner too."""
    (open_folder / "page").symlink_to("x")

    assert _said(open_folder, "LocalSymlink", "delete") == "cannot_put_back"


def test_an_owner_that_the_daemon_may_not_give_is_refused(open_folder: Path) -> None:
    """Beforehand, and with another code: nothing was there to be put back."""
    assert _said(open_folder, "LocalFile", "create", content="", owner="root") == "not_permitted"
    assert _said(open_folder, "LocalDirectory", "create", group="root") == "not_permitted"
    assert list(open_folder.iterdir()) == []


def test_a_folder_that_the_daemon_may_not_write_is_refused(open_folder: Path) -> None:
    """As the file system says."""
    os.chown(open_folder, 0, 0)

    assert _said(open_folder, "LocalFile", "create", content="", owner="root") == "not_permitted"
    assert list(open_folder.iterdir()) == []


def test_a_tree_of_its_own_is_removed_and_put_back_also_where_it_is_write_protected(
    open_folder: Path,
) -> None:
    """An owner may take the protection off; a rename alone does not empty a folder."""
    sub = open_folder / "page/sub"
    sub.mkdir(parents=True)
    (sub / "file").write_text("old")
    for path in (open_folder / "page", sub, sub / "file"):
        os.chown(path, NOBODY, NOBODY)
    sub.chmod(0o500)

    assert _said(open_folder, "LocalDirectory", "delete", recursive=True) == "done Succeeded"
    assert (sub / "file").read_text() == "old"
    assert sub.stat().st_mode & 0o777 == 0o500
    assert [path.name for path in open_folder.iterdir()] == ["page"]


def test_a_file_of_its_own_is_changed_and_put_back(open_folder: Path) -> None:
    """No right is needed that its user has not."""
    (open_folder / "page").write_text("old")
    os.chown(open_folder / "page", NOBODY, NOBODY)
    for arguments in ({"content": "new"}, {"mode": "0600"}, {"content": "new", "mode": "0600"}):
        assert _said(open_folder, "LocalFile", "update", **arguments) == "done Succeeded"

    assert (open_folder / "page").read_text() == "old"
