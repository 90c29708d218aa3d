"""Inputs: what a file declares, and the values that a submission gives for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import UNSET

from orchestrator.files import shape
from orchestrator.files.document import Document, Report, check_plain
from orchestrator.files.problems import Path, Problem, shown, suggest

InputType = Literal["string", "integer", "number", "boolean", "list", "object", "any"]

_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_FITS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "any": lambda _: True,
}
_ARTICLES = {"integer": "an integer", "object": "an object", "any": "anything"}


class Input(msgspec.Struct, frozen=True):
    """A declared input. ``default`` is UNSET where a value must be given."""

    type: InputType = "any"
    default: Any = UNSET
    description: str = ""


_BROKEN = Input(default=None)
"""Stands for a declaration that cannot be read: neither uses of it nor the lack of a value are problems of their own."""


def _default(report: Report, path: Path, value: Any) -> Any:
    if "${" in msgspec.json.encode(value).decode():
        report.warn(path, "a default is taken as it is; references in it are not resolved")
    return value


_READERS: dict[str, shape.Reader] = {
    "type": shape.choice(*get_args(InputType)),
    "default": _default,
    "description": shape.text,
}


def declared(report: Report, path: Path, value: Any) -> Any:
    """Read the declarations: name -> Input. Broken ones are left in as ``_BROKEN``."""
    if not isinstance(value, dict):
        return shape.wrong_kind(report, path, value, "a mapping of input names to `{type: …}`")
    return {key: _declare(report, (*path, key), item) for key, item in value.items()}


def _declare(report: Report, path: Path, value: Any) -> Input:
    shape.name(report, path, path[-1])
    if not isinstance(value, dict):
        hint = f"write `{{type: {value}}}`" if value in get_args(InputType) else "as `{type: string}`"
        shape.wrong_kind(report, path, value, "a mapping with `type` and perhaps `default`", hint)
        return _BROKEN
    read = shape.read_keys(report, path, value, _READERS, ("type",))
    if "default" in read and not _FITS[read.get("type", "any")](read["default"]):
        wanted = _article(read["type"])
        report.problem(
            (*path, "default"), f"must be {wanted}, as declared, not {shape.kind_of(read['default'])}"
        )
        return _BROKEN
    return Input(**read) if "type" in read else _BROKEN


def _article(type: str) -> str:
    return _ARTICLES.get(type, f"a {type}")


def bind_inputs(
    declared: Mapping[str, Input], given: Mapping[str, Any], *, from_text: bool = False
) -> tuple[dict[str, Any], list[Problem]]:
    """Give every declared input its value, the given one or the default, in order of declaration.

    With ``from_text`` the given ones are texts from a command line and are converted to the declared types: whole
    numbers, numbers, ``true`` and ``false``, JSON for lists and objects, either JSON or plain text for ``any``.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        if name not in declared:
            hint = suggest(name, declared)
            problems.append(Problem(_where(name), f"the saga declares no input {shown(name)}", hint))
        elif from_text and not isinstance(value, str):
            problems.append(Problem(_where(name), f"must be text, not {shape.kind_of(value)}"))
    for name, wanted in declared.items():
        value = given.get(name, wanted.default)
        if from_text and name in given and isinstance(value, str):
            value = _convert(wanted.type, value)
        if value is UNSET:
            hint = f"give it {_article(wanted.type)}; it has no default"
            problems.append(Problem(_where(name), "the input is missing", hint))
        elif not _FITS[wanted.type](value):
            problems.append(_misfit(name, wanted, value))
        elif name in given:
            problems += _unkeepable(name, value)
        values[name] = value
    return values, problems


def _where(name: str) -> str:
    return f"inputs.{name}" if shape.NAME.fullmatch(name) else f"inputs.{shown(name, chr(34))}"


def _misfit(name: str, wanted: Input, value: Any) -> Problem:
    said = shown(value) if isinstance(value, str) else shape.kind_of(value)
    return Problem(_where(name), f"must be {_article(wanted.type)}, not {said}", wanted.description)


def _unkeepable(name: str, value: Any) -> list[Problem]:
    """Hold a given value to the limits of every document."""
    if value is None or isinstance(value, bool) or (isinstance(value, str) and value.isascii()):
        return []
    document = Document({"inputs": {name: value}})
    check_plain(document)
    return document.problems


def _convert(type: str, value: str) -> Any:
    """Give what the text stands for; the text itself where it does not fit, which is a problem then."""
    if type == "string":
        return value
    if type == "integer":
        return int(value) if _INTEGER.fullmatch(value) else value
    if type == "boolean":
        return {"true": True, "false": False}.get(value, value)
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return value
