"""What the sagas change, and how it looks from outside: a folder, a log that commands write to, and the fake."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.torture.cloud import Cloud


class Place(NamedTuple):
    """One thing that one saga changes: a `file` (its path), a command's `line` (its name), an object of the `cloud`."""

    kind: str
    name: str


class Line(NamedTuple):
    """What a command has written: what it was for, and the key under which it ran."""

    name: str
    key: str


class Seen(NamedTuple):
    """The world at one moment."""

    lines: Counter[Line]
    census: dict[tuple[str, str], list[bool]]


class World:
    """The world."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        """Make the folder, in which nothing is yet."""
        self.site = folder / "site"
        self.shared = self.site / "shared"
        self.shared.mkdir(parents=True)
        self.log = folder / "commands.log"
        self.log.touch()
        self.cloud = cloud

    def lines(self) -> Counter[Line]:
        """Count what commands have written."""
        written = (line.partition(" ") for line in self.log.read_text().splitlines())
        return Counter(Line(name, key) for name, _, key in written)

    def look(self) -> Seen:
        """Look at what is dear to look at once for all."""
        return Seen(self.lines(), self.cloud.census())

    def at(self, place: Place, seen: Seen) -> str | int | None:
        """What is there: a file's content, `dir`, None; how many lines; how many objects."""
        if place.kind == "file":
            return content(Path(place.name))
        if place.kind == "line":
            return sum(count for line, count in seen.lines.items() if line.name == place.name)
        kind, _, name = place.name.partition("/")
        return sum(seen.census.get((kind, name), []))

    def leftovers(self) -> list[Path]:
        """Files of sagad's own that lie about."""
        return [path for path in self.site.rglob("*") if path.name.startswith(".sagad-")]


def content(path: Path) -> str | None:
    """A file's content, `dir` for a folder, None where nothing is."""
    if path.is_dir():
        return "dir"
    return path.read_text() if path.exists() else None
