"""Where settings come from, one laid over the other: the settings file, its drop-ins, the environment, the flags.

What is given keeps its place with it, so that a complaint can name the file and key, or the variable, or the flag.
What it means is not looked at here.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from config.problems import Problem

PREFIX = "SAGAD_"


class Given(msgspec.Struct, frozen=True):
    """One value, or one table of them, and where it was given. `text` is what an environment variable really said."""

    where: str
    value: Any
    text: str | None = None

    @property
    def is_table(self) -> bool:
        """Tell whether this is a table: then the value maps names to what is given for them."""
        return isinstance(self.value, dict)

    def plain(self) -> Any:
        """Give the value as TOML had it, places left out."""
        return {key: below.plain() for key, below in self.value.items()} if self.is_table else self.value


NOTHING = Given(where="", value={})


def over(below: Given, above: Given) -> Given:
    """Lay one over the other: tables are merged, anything else is replaced."""
    if not (below.is_table and above.is_table):
        return above
    merged = dict(below.value)
    for key, given in above.value.items():
        merged[key] = over(merged[key], given) if key in merged else given
    return Given(below.where or above.where, merged)


def place(where: str, *path: str, value: Any, text: str | None = None) -> Given:
    """Give one value at a path of keys, all from the same place."""
    given = Given(where, value, text)
    for key in reversed(path):
        given = Given(where, {key: given})
    return given


def from_files(path: Path, *, must_exist: bool, problems: list[Problem]) -> Iterator[Given]:
    """Read the settings file and then the drop-ins beside it (`sagad.conf.d/*.toml` for `sagad.toml`) by name."""
    yield from_file(path, problems, must_exist=must_exist)
    for drop_in in _drop_ins(path.with_suffix(".conf.d"), problems):
        yield from_file(drop_in, problems)


def _drop_ins(folder: Path, problems: list[Problem]) -> list[Path]:
    """Name them. `glob` would take a folder that it may not look into for an empty one."""
    try:
        return sorted(path for path in folder.iterdir() if path.match("*.toml"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.append(_unreadable(folder, error))
        return []


def from_file(path: Path, problems: list[Problem], *, must_exist: bool = True) -> Given:
    """Read one TOML file; what cannot be read is a problem and gives nothing."""
    try:
        with path.open("rb") as file:
            return _placed(tomllib.load(file), path, "")
    except tomllib.TOMLDecodeError as error:
        problems.append(Problem(str(path), f"not TOML: {error}"))
    except UnicodeDecodeError as error:
        problems.append(Problem(str(path), f"not UTF-8, from byte {error.start} on"))
    except OSError as error:
        if must_exist or not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            problems.append(_unreadable(path, error))
    return NOTHING


def _unreadable(path: Path, error: OSError) -> Problem:
    closed = isinstance(error, PermissionError)
    hint = "let the user that this runs as read it, or name another file with --config" if closed else ""
    return Problem(str(path), f"cannot be read: {error.strerror}", hint)


def from_environment(environ: Mapping[str, str]) -> Iterator[Given]:
    """Read `SAGAD_SECTION__KEY=value`; a value that is not TOML is a text, so most need no quotes.

    A name without `__` is no setting: SAGAD_SOCKET is for sagactl, SAGAD_EXECUTION for the children of commands.
    """
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and "__" in name:
            path = name.removeprefix(PREFIX).lower().split("__")
            yield place(name, *path, value=_toml_or_text(name, text), text=text)


def _toml_or_text(name: str, text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A text with line breaks may be a whole TOML file; then it is not one value.
    value = parsed["value"] if parsed.keys() == {"value"} else text
    return {key: _located(below, name) for key, below in value.items()} if isinstance(value, dict) else value


def _located(value: Any, where: str) -> Given:
    if isinstance(value, dict):
        return Given(where, {key: _located(below, where) for key, below in value.items()})
    return Given(where, value)


def _placed(value: Any, path: Path, dotted: str) -> Given:
    where = f"{path}: {dotted}" if dotted else str(path)
    if not isinstance(value, dict):
        return Given(where, value)
    return Given(where, {key: _placed(below, path, _join(dotted, key)) for key, below in value.items()})


def _join(dotted: str, key: str) -> str:
    key = f'"{key}"' if "." in key else key
    return f"{dotted}.{key}" if dotted else key
