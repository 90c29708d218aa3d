"""The three local drivers keep a driver's promises."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from providers.local import DRIVERS, LocalDirectory, LocalFile, LocalSymlink
from tests.conformance import Case, conformance
from tests.unit.providers.local.folder import Folder

pytestmark = pytest.mark.slow

PAGE = "{here}/page"


def _page(world: Folder) -> None:
    world.write("page")


def _other_page(world: Folder) -> None:
    path = world.here / "page"
    path.unlink(missing_ok=True)
    path.write_text("somebody else's\n")


def _other_mode(world: Folder) -> None:
    (world.here / "page").chmod(0o666)


def _big_page(world: Folder) -> None:
    world.write("page", "0123456789abcdef" * 16_000)


def _setuid_page(world: Folder) -> None:
    world.write("page", mode=0o4751)


def _source(world: Folder) -> None:
    world.write("source", "from the source\n")


def _source_and_page(world: Folder) -> None:
    _source(world)
    _page(world)


def _same_page(world: Folder) -> None:
    world.write("page", "new\n")


def _hard_links(world: Folder) -> None:
    os.link(world.write("page"), world.here / "other")


def _fifo(world: Folder) -> None:
    os.mkfifo(world.here / "page")


def _link(world: Folder) -> None:
    world.link("page")


def _folder(world: Folder) -> None:
    world.folder("page")


FILE = [
    Case("create", "create", {"path": PAGE, "content": "new\n"}, meanwhile=_other_page),
    Case("create-empty", "create", {"path": PAGE, "content": ""}),
    Case(
        "create-all",
        "create",
        {"path": PAGE, "content": "ü\n", "mode": "0604", "owner": "1111", "group": "daemon"},
        meanwhile=_other_page,
    ),
    Case("create-from-source", "create", {"path": PAGE, "source": "{here}/source"}, given=_source),
    Case("update", "update", {"path": PAGE, "content": "new\n"}, given=_page, meanwhile=_other_page),
    Case("update-same", "update", {"path": PAGE, "content": "new\n"}, given=_same_page),
    Case("update-big", "update", {"path": PAGE, "content": "new\n"}, given=_big_page),
    Case("update-from-source", "update", {"path": PAGE, "source": "{here}/source"}, given=_source_and_page),
    Case("update-mode", "update", {"path": PAGE, "mode": "600"}, given=_page, meanwhile=_other_mode),
    Case("update-owner-of-setuid", "update", {"path": PAGE, "owner": "1111"}, given=_setuid_page),
    Case(
        "update-mode-and-owner",
        "update",
        {"path": PAGE, "mode": "2755", "owner": "1", "group": "2"},
        given=_page,
    ),
    Case(
        "update-all",
        "update",
        {"path": PAGE, "content": "new\n", "mode": "600", "owner": "1"},
        given=_setuid_page,
    ),
    Case("put-new", "put", {"path": PAGE, "content": "new\n", "mode": "0600"}, meanwhile=_other_page),
    Case("put-over", "put", {"path": PAGE, "content": "new\n"}, given=_page, meanwhile=_other_page),
    Case("delete", "delete", {"path": PAGE}, given=_page, meanwhile=_other_page),
    Case("delete-big", "delete", {"path": PAGE}, given=_big_page),
    Case("create-where-one-is", "create", {"path": PAGE, "content": ""}, given=_page, refused="exists"),
    Case("create-where-a-link-is", "create", {"path": PAGE, "content": ""}, given=_link, refused="exists"),
    Case("create-without-parent", "create", {"path": "{here}/no/page", "content": ""}, refused="not_found"),
    Case(
        "create-for-nobody",
        "create",
        {"path": PAGE, "content": "", "owner": "no-one"},
        refused="no_such_user",
    ),
    Case(
        "create-for-no-group",
        "create",
        {"path": PAGE, "content": "", "group": "no-one"},
        refused="no_such_group",
    ),
    Case("create-without-source", "create", {"path": PAGE, "source": "{here}/no"}, refused="no_source"),
    Case("update-of-none", "update", {"path": PAGE, "content": ""}, refused="not_found"),
    Case("update-of-a-link", "update", {"path": PAGE, "content": ""}, given=_link, refused="not_a_file"),
    Case("put-over-a-link", "put", {"path": PAGE, "content": ""}, given=_link, refused="not_a_file"),
    Case("put-over-a-folder", "put", {"path": PAGE, "content": ""}, given=_folder, refused="not_a_file"),
    Case("put-over-a-fifo", "put", {"path": PAGE, "content": ""}, given=_fifo, refused="not_a_file"),
    Case(
        "put-over-hard-links",
        "put",
        {"path": PAGE, "content": ""},
        given=_hard_links,
        refused="cannot_put_back",
    ),
    Case("delete-of-hard-links", "delete", {"path": PAGE}, given=_hard_links, refused="cannot_put_back"),
    Case("delete-of-a-folder", "delete", {"path": PAGE}, given=_folder, refused="not_a_file"),
]


def _filled_folder(world: Folder) -> None:
    _folder(world)
    world.write("page/in it")


def _in_it(world: Folder) -> None:
    (world.here / "page").mkdir(exist_ok=True)
    (world.here / "page/in it").write_text("somebody else's\n")


def _changed_tree(world: Folder) -> None:
    folder = world.here / "page"
    folder.mkdir(exist_ok=True)
    (folder / "new").write_text("somebody else's\n")


def _tree(world: Folder) -> None:
    """All that may be in a tree: nested, empty, big, odd names, no permissions, links that point nowhere."""
    world.folder("page")
    world.write("page/a file")
    world.write("page/big", "x" * 150_000, 0o4755)
    world.write("page/empty", "", 0o000)
    world.folder("page/sub", 0o1777)
    world.folder("page/sub/closed", 0o000)
    world.write("page/sub/ünï\nname")
    world.link("page/sub/link", "../../nowhere")
    os.setxattr(world.here / "page/sub", "user.colour", b"green")


def _tree_with_socket(world: Folder) -> None:
    _tree(world)
    here = Path.cwd()
    os.chdir(world.here / "page")  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
    finally:
        os.chdir(here)


def _tree_with_hard_links(world: Folder) -> None:
    _tree(world)
    os.link(world.here / "page/big", world.here / "page/sub/big")


DIRECTORY = [
    Case("create", "create", {"path": PAGE}, meanwhile=_in_it),
    Case("create-all", "create", {"path": PAGE, "mode": "1730", "owner": "1111", "group": "daemon"}),
    Case("create-with-slash", "create", {"path": f"{PAGE}/"}),
    Case("update", "update", {"path": PAGE, "mode": "0700"}, given=_filled_folder, meanwhile=_other_mode),
    Case(
        "update-all",
        "update",
        {"path": PAGE, "mode": "2700", "owner": "1", "group": "2"},
        given=_filled_folder,
    ),
    Case("delete", "delete", {"path": PAGE}, given=_folder, meanwhile=_in_it),
    Case("delete-tree", "delete", {"path": PAGE, "recursive": True}, given=_tree, meanwhile=_changed_tree),
    Case("delete-empty-tree", "delete", {"path": PAGE, "recursive": True}, given=_folder, meanwhile=_in_it),
    Case("create-where-one-is", "create", {"path": PAGE}, given=_folder, refused="exists"),
    Case("create-where-a-file-is", "create", {"path": PAGE}, given=_page, refused="exists"),
    Case("create-without-parent", "create", {"path": "{here}/no/page"}, refused="not_found"),
    Case("update-of-none", "update", {"path": PAGE, "mode": "0700"}, refused="not_found"),
    Case("update-of-a-link", "update", {"path": PAGE, "mode": "0700"}, given=_link, refused="not_a_folder"),
    Case("delete-of-a-file", "delete", {"path": PAGE}, given=_page, refused="not_a_folder"),
    Case("delete-of-a-filled-one", "delete", {"path": PAGE}, given=_filled_folder, refused="not_empty"),
    Case(
        "delete-with-a-socket",
        "delete",
        {"path": PAGE, "recursive": True},
        given=_tree_with_socket,
        refused="cannot_put_back",
    ),
    Case(
        "delete-with-hard-links",
        "delete",
        {"path": PAGE, "recursive": True},
        given=_tree_with_hard_links,
        refused="cannot_put_back",
    ),
]


def _other_link(world: Folder) -> None:
    (world.here / "page").unlink(missing_ok=True)
    (world.here / "page").symlink_to("somebody-elses")


SYMLINK = [
    Case("create", "create", {"path": PAGE, "target": "/no/where"}, meanwhile=_other_link),
    Case("update", "update", {"path": PAGE, "target": "there"}, given=_link, meanwhile=_other_link),
    Case("update-same", "update", {"path": PAGE, "target": "elsewhere"}, given=_link),
    Case("delete", "delete", {"path": PAGE}, given=_link, meanwhile=_other_link),
    Case("create-where-one-is", "create", {"path": PAGE, "target": "x"}, given=_link, refused="exists"),
    Case("create-without-parent", "create", {"path": "{here}/no/page", "target": "x"}, refused="not_found"),
    Case("update-of-none", "update", {"path": PAGE, "target": "x"}, refused="not_found"),
    Case("update-of-a-file", "update", {"path": PAGE, "target": "x"}, given=_page, refused="not_a_symlink"),
    Case("delete-of-a-folder", "delete", {"path": PAGE}, given=_folder, refused="not_a_symlink"),
]

test_local_file = conformance(LocalFile, Folder, FILE)
test_local_directory = conformance(LocalDirectory, Folder, DIRECTORY)
test_local_symlink = conformance(LocalSymlink, Folder, SYMLINK)


def test_each_driver_of_the_room_is_tested() -> None:
    """A driver that is added here is added to this file."""
    tested = {LocalFile, LocalDirectory, LocalSymlink}

    assert tested == set(DRIVERS)
