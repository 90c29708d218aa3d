"""Nothing outside the roots is reached, whatever is swapped in on the way."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from providers.contract import Call, Ended, Failed, Image, Succeeded
from providers.local import LocalDirectory, LocalFile
from providers.local.attributes import Attributes
from providers.local.file import FileContent
from providers.local.place import Place
from tests.conformance import MemoryBlobs
from tests.unit.providers.local.calls import done, planned, undo_of


def _problems(files: LocalFile, **arguments: Any) -> list[str]:
    return files.check("put", FileContent(**arguments))


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("page", "must be an absolute path: 'page'"),
        ("", "must be an absolute path: ''"),
        ("/", "must end in a name: '/'"),
        ("{here}/..", "must end in a name"),
        ("{here}/.", "must end in a name"),
        ("{here}/a\0b", "has a character that no file name can have"),
        ("{here}/a\ud800b", "has a character that no file name can have"),
        ("{here}/.sagad-x", "is a name that sagad keeps for itself"),
        ("/etc/passwd", "must lie below"),
        ("{here}", "must lie below"),
        ("{here}/../page", "must lie below"),
        ("{here}-not/page", "must lie below"),
        ("{here}/out/page", "must lie below"),
        ("{here}/out/../page", "must lie below"),
    ],
)
def test_a_path_outside_the_roots_is_refused_by_rule_value_and_remedy(
    files: LocalFile, here: Path, tmp_path: Path, path: str, rule: str
) -> None:
    """The same for ``path`` and ``source``."""
    (tmp_path / "outside/deep").mkdir(parents=True)
    (here / "out").symlink_to(tmp_path / "outside/deep")
    path = path.replace("{here}", str(here))

    (by_path,) = _problems(files, path=path, content="")
    (by_source,) = _problems(files, path=str(here / "page"), source=path)

    assert by_path.startswith(f'"path" {rule}')
    assert by_source.startswith(f'"source" {rule}')
    assert repr(path) in by_path


def test_the_real_path_is_said_where_it_differs(files: LocalFile, here: Path) -> None:
    """Else nobody would see why a path that begins with the root is outside."""
    (here / "out").symlink_to("/etc")

    (problem,) = _problems(files, path=f"{here}/out/passwd", content="")

    assert "(really /etc/passwd)" in problem


def test_a_symlink_that_vanishes_while_it_is_read_is_looked_at_again(
    files: LocalFile, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``realpath`` sees a symlink, and it has gone by the time it reads it."""
    way = here / "way"
    way.symlink_to("/etc")
    read = os.readlink

    def vanishing(path: str) -> str:
        if path == str(way):  # and no other: pytest reads symlinks too
            way.unlink()
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "readlink", vanishing)
        problems = _problems(files, path=f"{way}/page", content="")

    assert problems == []


@pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="`realpath` itself goes on from 3.13 on; the walk follows no symlink anyway",
)
def test_a_path_that_never_holds_still_is_refused_by_its_name(
    files: LocalFile, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a problem among the others, and a failure where it is met later."""
    (here / "way").symlink_to("/etc")

    def gone(path: str) -> str:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "readlink", gone)
        (problem,) = _problems(files, path=f"{here}/way/page", content="")
        with pytest.raises(Ended) as refused:
            files.resource("put", FileContent(path=f"{here}/way/page"))

    assert problem.startswith(f'"path" cannot be judged: {here}/way could not be resolved')
    assert "retry when" in problem
    assert isinstance(refused.value.outcome, Failed)
    assert refused.value.outcome.transient


def test_parents_may_be_symlinks_within_the_roots(files: LocalFile, here: Path) -> None:
    """Identity is the real path."""
    (here / "releases/7").mkdir(parents=True)
    (here / "current").symlink_to("releases/7")
    arguments = FileContent(path=f"{here}/current/page", content="")

    assert files.check("put", arguments) == []
    assert files.resource("put", arguments).path == f"{here}/releases/7/page"


def test_parents_need_not_be_there_yet_when_checked(files: LocalFile, here: Path) -> None:
    """An earlier step makes them."""
    assert _problems(files, path=f"{here}/later/page", content="") == []


def test_a_root_may_be_a_symlink(here: Path, tmp_path: Path) -> None:
    """The operator who wrote the settings meant where it points."""
    (tmp_path / "srv").symlink_to(here)
    files = LocalFile({"roots": [f"{tmp_path}/srv"]}, MemoryBlobs())

    assert files.check("put", FileContent(path=f"{tmp_path}/srv/page", content="")) == []
    assert files.check("put", FileContent(path=f"{here}/page", content="")) == []


def test_without_roots_in_the_settings_everything_is_allowed() -> None:
    """A daemon started by hand may do what its user may."""
    assert LocalFile({}, MemoryBlobs()).check("put", FileContent(path="/etc/x", content="")) == []


def test_with_no_root_at_all_nothing_is_allowed() -> None:
    """An empty list is not the same as none."""
    files = LocalFile({"roots": []}, MemoryBlobs())

    assert "must lie below no root at all" in files.check("put", FileContent(path="/etc/x", content=""))[0]


async def test_a_symlink_swapped_in_between_plan_and_call_does_not_lead_outside(
    files: LocalFile, here: Path, tmp_path: Path
) -> None:
    """The way is walked without following, so the call fails and the outside stays as it is."""
    (here / "dir").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    call = await planned(files, "put", path=f"{here}/dir/page", content="")
    (here / "dir").rename(here / "moved")
    (here / "dir").symlink_to(outside)

    outcome = await files.apply(call)

    assert isinstance(outcome, Failed)
    assert f"{here}/dir is not there, or is no folder" in outcome.message
    assert list(outside.iterdir()) == []


async def test_a_symlink_swapped_in_does_not_lead_an_undo_outside(
    files: LocalFile, here: Path, tmp_path: Path
) -> None:
    """The same name outside is somebody else's file."""
    (here / "dir").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    call = await planned(files, "put", path=f"{here}/dir/page", content="same")
    outcome = await files.apply(call)
    assert isinstance(outcome, Succeeded)
    (outside / "page").write_text("same")
    (here / "dir").rename(here / "moved")
    (here / "dir").symlink_to(outside)

    await files.apply(undo_of(call, outcome))

    assert (outside / "page").read_text() == "same"


@pytest.mark.parametrize("looks", ["different", "alike"])
async def test_attributes_do_not_go_to_a_file_that_was_swapped_in(
    files: LocalFile, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: str
) -> None:
    """Between the look and the touch the name becomes one more of a file outside; or before, and it looks alike."""
    page, outside = here / "page", tmp_path / "outside"
    page.write_text("same")
    shutil.copy2(page, outside)
    call = await planned(files, "update", path=str(page), mode="0666")

    def swap() -> None:
        page.unlink()
        page.hardlink_to(outside)

    def swapped(place: Place, wanted: Attributes, live: Image) -> None:
        swap()
        retouch(place, wanted, live)

    retouch = files.retouch
    if looks == "alike":
        swap()
    else:
        monkeypatch.setattr(files, "retouch", swapped)
    before = outside.stat().st_mode
    outcome = await files.apply(call)

    assert isinstance(outcome, Failed)
    assert str(page) in outcome.message
    assert outside.stat().st_mode == before


async def test_an_undo_of_attributes_does_not_go_to_a_file_that_was_swapped_in(
    files: LocalFile, here: Path, tmp_path: Path
) -> None:
    """One that has the attributes that the step has set."""
    page, outside = here / "page", tmp_path / "outside"
    page.write_text("page")
    page.chmod(0o600)
    outside.write_text("outside")
    outside.chmod(0o640)
    call, outcome = await done(files, "update", path=str(page), mode="0640")
    page.unlink()
    page.hardlink_to(outside)
    undone = await files.apply(undo_of(call, outcome))

    assert isinstance(undone, Failed)
    assert f"{page} has 2 hard links" in undone.message
    assert outside.stat().st_mode & 0o777 == 0o640


async def test_attributes_do_not_go_to_a_folder_that_was_swapped_in(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is another one; that something was put into it meanwhile is no harm."""
    folders = LocalDirectory({"roots": [str(here)]}, MemoryBlobs())
    for name in ("one", "two", "other"):
        (here / name).mkdir(mode=0o700)
    one = await planned(folders, "update", path=f"{here}/one", mode="0755")
    two = await planned(folders, "update", path=f"{here}/two", mode="0755")
    retouch = folders.retouch

    def meanwhile(place: Place, wanted: Attributes, live: Image) -> None:
        if place.leaf == "one":
            (here / "one").rename(here / "gone")
            (here / "other").rename(here / "one")
        else:
            (here / "two" / "new").touch()
        retouch(place, wanted, live)

    monkeypatch.setattr(folders, "retouch", meanwhile)
    outcomes = [await folders.apply(one), await folders.apply(two)]

    assert isinstance(outcomes[0], Failed)
    assert isinstance(outcomes[1], Succeeded)
    assert [(here / name).stat().st_mode & 0o777 for name in ("one", "two")] == [0o700, 0o755]


async def test_a_path_outside_is_refused_also_where_nobody_has_checked(files: LocalFile) -> None:
    """The walk has a root to begin at, or none."""
    arguments = FileContent(path="/etc/passwd", content="")

    with pytest.raises(Ended) as ended:
        await files.plan(Call(verb="put", arguments=arguments, key="key", name="name"))

    assert isinstance(ended.value.outcome, Failed)
    assert ended.value.outcome.code == "outside_roots"
