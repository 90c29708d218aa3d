"""Resources that steps have touched, asked whether one more overlaps any of them: not pair by pair, for big graphs."""

from __future__ import annotations

from collections.abc import Iterator

from actors.saga.state import Touch


class Touched:
    """A growing set of resources. ``overlap`` answers as ``Touch.overlaps`` with each of them would."""

    def __init__(self) -> None:
        """Begin with none."""
        self._all: list[Touch] = []
        self._without_path: list[Touch] = []
        self._paths: set[str] = set()
        self._enclosing: set[str] = set()
        """The paths themselves and every folder above them."""

    def add(self, touch: Touch | None) -> None:
        """Take in one more."""
        if touch is None:
            return
        self._all.append(touch)
        if touch.path is None:
            self._without_path.append(touch)
            return
        path, *above = upwards(touch.path)
        self._paths.add(path)
        self._enclosing.update((path, *above))

    def overlap(self, touch: Touch | None) -> bool:
        """Tell whether this one is, encloses or lies in one of them."""
        if touch is None:
            return False
        if touch.path is None:
            return any(touch.overlaps(each) for each in self._all)
        path, *above = upwards(touch.path)
        return (
            path in self._enclosing
            or any(each in self._paths for each in above)
            or any(touch.overlaps(each) for each in self._without_path)
        )


def upwards(path: str) -> Iterator[str]:
    """Give a path without its last slashes, then each folder above it, the root as an empty text."""
    path = path.rstrip("/")
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path
