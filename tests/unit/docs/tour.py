"""The README's tour, read and replayed: `python -m tests.unit.docs.tour` writes what the commands print today into it.

A ``console`` block is what a person types (after ``$ ``) and sees. A block of another language that follows a line
ending in ``PATH`: `` is the file that they make there first.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).parents[3] / "README.md"
ROOT = README.parent
PLACE = "/tmp/sagad-tour"
"""Where the README has its reader work; a replay does in a folder whose path is as long, so that lines fit alike."""
MARK = "=-=-= command {} ="

_BLOCK = re.compile(
    r"(?:^Save as `(?P<path>[^`]+)`:\n\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block: where its body stands in the text, and the file it is to be saved as."""

    language: str
    body: str
    start: int
    end: int
    path: str | None


class Command(NamedTuple):
    """A command, and what is shown of its output."""

    line: str
    shown: list[str]


def blocks(text: str) -> list[Block]:
    """Give all fenced blocks of a page."""
    return [
        Block(found["language"], found["body"], found.start("body"), found.end("body"), found["path"])
        for found in _BLOCK.finditer(text)
    ]


def commands(block: Block) -> list[Command]:
    """Give the commands of a ``console`` block."""
    found: list[Command] = []
    for line in block.body.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        else:
            found[-1].shown.append(line)
    return found


def replay(text: str, place: Path) -> list[list[str]]:
    """Type the tour's commands into one shell, in this folder; give what each printed, in order."""
    script = [f"trap 'kill $(jobs -p) 2>{os.devnull}' EXIT"]
    number = 0
    for block in blocks(text):
        if block.path is not None:
            script += [f"cat > {block.path} <<'END OF FILE'", block.body.rstrip("\n"), "END OF FILE"]
        if block.language != "console":
            continue
        for command in commands(block):
            script += [f"echo '{MARK.format(number)}'", command.line]
            number += 1
    own = {name: value for name, value in os.environ.items() if not name.startswith("SAGAD_")}
    done = subprocess.run(
        ["bash", "-s"],
        input="\n".join(script).replace(PLACE, str(place)),
        cwd=ROOT,
        env=own | {"LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    printed = done.stdout.replace(str(place), PLACE)
    parts = re.split("^" + MARK.format(r"\d+") + "\n", printed, flags=re.MULTILINE)[1:]
    return [[line for line in part.splitlines() if not line.startswith("bash: line ")] for part in parts]


_VARYING = (
    (r"\b[0-9a-hjkmnp-tv-z]{10,}(\b|…)", "NAME"),  # an id or a digest
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
    (r"\b\d+(\.\d+)?(ms|s|m|h)\b", "DURATION"),
    (r"\b(pending|running)$", "BEGUN"),
    (r"\b(by |owner=|group=)\w+", r"\1SOMEBODY"),
    (r"[ \t]+", " "),
)


def shape(lines: list[str]) -> list[str]:
    """Give lines with what differs from run to run replaced by what it is."""
    found: list[str] = []
    for line in lines:
        for pattern, word in _VARYING:
            line = re.sub(pattern, word, line)  # noqa: PLW2901  one after the other
        if line.strip():
            found.append(line.strip())
    return found


def written(text: str, printed: list[list[str]]) -> str:
    """Give the page with what the commands printed in place of what it showed."""
    rest = iter(printed)
    pieces, last = [], 0
    for block in blocks(text):
        if block.language == "console":
            lines = [line for command in commands(block) for line in (f"$ {command.line}", *next(rest))]
            pieces += [text[last : block.start], "".join(f"{line}\n" for line in lines)]
            last = block.end
    return "".join(pieces) + text[last:]


def place() -> tempfile.TemporaryDirectory[str]:
    """Give a folder whose path is as long as PLACE: eight letters behind the prefix."""
    return tempfile.TemporaryDirectory(prefix="t-", dir=Path(PLACE).parent)


if __name__ == "__main__":
    with place() as name:
        outputs = replay(README.read_text(), Path(name))
    README.write_text(written(README.read_text(), outputs))
    sys.stdout.write(f"{len(outputs)} commands\n")
