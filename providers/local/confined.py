"""Which paths the settings allow, and how to get to one so that nobody can lead the way elsewhere meanwhile.

A path is judged by its real parent and its last name: symlinks and ``..`` in the parent are resolved, the last name
is never followed. What was judged is then walked from the root, folder by folder, each opened by its name in the one
before and none of them through a symlink. A symlink that is swapped in after the judgement ends the walk; it cannot
lead outside. (openat2 with RESOLVE_BENEATH would do it in one call, but Python has no binding for it.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from providers.contract import Ended
from providers.local.refusals import refused

OWN_PREFIX = ".sagad-"
"""Names of files that sagad stages. They are no user's business."""

LOOKS = 100
"""How often a path is resolved anew of which somebody takes away a symlink meanwhile."""

_THROUGH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LAST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # O_PATH could not be synced


class Confined:
    """The part of the file system below the given roots, less what is closed: sagad's own folders, secrets among them."""

    def __init__(self, roots: Iterable[str], closed: Iterable[str] = ()) -> None:
        self.roots = tuple(roots)
        self.closed = tuple(closed)

    def problems(self, argument: str, path: str) -> list[str]:
        """Name every reason why this argument's path is not allowed, each with what to do."""
        if not path.startswith("/"):
            return [f'"{argument}" must be an absolute path: {path!r}; write it in full, from the first "/"']
        if "\0" in path or not _encodable(path):
            return [f'"{argument}" has a character that no file name can have: {path!r}; leave it out']
        leaf = path.rstrip("/").rpartition("/")[2]
        if leaf in {"", ".", ".."}:
            return [f'"{argument}" must end in a name: {path!r}; write the path of the thing itself']
        if leaf.startswith(OWN_PREFIX):
            return [f'"{argument}" is a name that sagad keeps for itself: {path!r}; choose another']
        try:
            return self._misplaced(argument, path)
        except Ended as moving:
            return [f'"{argument}" cannot be judged: {moving}']

    def _misplaced(self, argument: str, path: str) -> list[str]:
        real = self.real(path)
        if self._root_of(os.path.dirname(real)) is None:
            really = "" if real == path else f" (really {real})"
            where = ", ".join(self.roots) or "no root at all"
            remedy = "choose a path below, or add its folder to `roots` in [providers.local]"
            return [f'"{argument}" must lie below {where}: {path!r}{really}; {remedy}']
        if (own := self._closed(real)) is not None:
            return [
                f'"{argument}" must leave {own} alone, which is sagad\'s own: {path!r}; choose another path'
            ]
        return []

    def _closed(self, real: str) -> str | None:
        """Name the closed folder that this real path is, lies in, or encloses."""
        here = real.rstrip("/") + "/"
        for own in map(_real, self.closed):
            if here.startswith(own + "/") or (own + "/").startswith(here):
                return own
        return None

    def real(self, path: str) -> str:
        """Resolve the parents of a path as far as they exist; its last name stays as it is. Raises Ended."""
        parent, _, leaf = path.rstrip("/").rpartition("/")
        return os.path.join(_real(parent or "/"), leaf)

    def open_folder(self, folder: str) -> int:
        """Open a folder, given by its real path, without going through any symlink.

        Raises Ended where it is not below a root, and OSError (FileNotFoundError, NotADirectoryError) where one of
        the names on the way is missing or not a folder, with that folder's path as its ``filename``.
        """
        root = self._root_of(folder)
        if root is None:
            raise refused(
                "outside_roots", f"{folder} lies below no root; add it to `roots` in [providers.local]"
            )
        if any((folder + "/").startswith(_real(own) + "/") for own in self.closed):
            raise refused("outside_roots", f"{folder} is sagad's own; choose another path")
        names = [name for name in folder[len(root) :].split("/") if name]
        here = os.open(root, _THROUGH if names else _LAST)
        for index, name in enumerate(names):
            try:
                further = os.open(name, _LAST if index == len(names) - 1 else _THROUGH, dir_fd=here)
            except OSError as problem:
                problem.filename = os.path.join(root, *names[: index + 1])
                raise
            finally:
                os.close(here)
            here = further
        return here

    def _root_of(self, folder: str) -> str | None:
        for root in map(_real, self.roots):
            if folder == root or folder.startswith(root.rstrip("/") + "/"):
                return root
        return None


def _real(path: str) -> str:
    """Resolve every symlink in a path, as far as it exists. Raises Ended where that does not come off.

    ``os.path.realpath`` looks whether a name is a symlink, then reads it, and raises where it has gone between the two.
    """
    why: OSError | None = None
    for _ in range(LOOKS):
        try:
            return os.path.realpath(path)
        except OSError as problem:
            why = problem
    raise refused(
        "changed",
        f"{path} could not be resolved: {why}; it was tried {LOOKS} times: retry when nobody changes the folders and "
        "symlinks on the way",
        transient=True,
    )


def _encodable(path: str) -> bool:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True
