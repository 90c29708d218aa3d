"""Arguments against a verb's declaration: every problem, not only the first; references are taken by their kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from actors.saga import references
from actors.saga.references import BadReference, Ref
from orchestrator.files import shape
from orchestrator.files.document import Report
from orchestrator.files.kinds import Kinds, kind_of_value, kinds_of_type, say
from orchestrator.files.problems import Path, shown, suggest

_EXPECTED = re.compile(r"Expected `([^`]+)`(.*?)(?:, got `([^`]+)`)?(?: - at `.*`)?", re.DOTALL)
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "a mapping",
}
_TEXT: Kinds = frozenset({"string"})
_MAPPINGS = (dict, Mapping)

KindsOf = Callable[[Ref], Kinds]


@cache
def fields_of(struct: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """Give a struct's fields by name. To look at them takes 20 µs and more, and a file's steps are often of one type."""
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


class Arguments:
    """Checks one operation's arguments. ``kinds_of`` tells what a reference stands for."""

    def __init__(self, report: Report, kinds_of: KindsOf) -> None:
        """Report to ``report``."""
        self._report = report
        self._kinds_of = kinds_of

    def check(self, path: Path, template: Any, struct: type[msgspec.Struct]) -> None:
        """Report every argument that is unknown, missing or of the wrong type."""
        fields = fields_of(struct)
        for key, value in template.items():
            if key in fields:
                self._value((*path, key), value, fields[key].type)
            else:
                self._report.unknown((*path, key), "argument", key, list(fields), key=True)
        for key, field in fields.items():
            if field.required and key not in template:
                hint = f"it is {say(kinds_of_type(field.type))}"
                self._report.problem(path, f"the argument `{key}` is missing", hint)

    def _value(self, path: Path, value: Any, wanted: Any) -> None:
        if isinstance(value, str) and "${" in value and not self._is_literal(path, value, wanted):
            return
        before = len(self._report.problems)
        wanted = _member_for(value, wanted)
        inside = _bare(wanted)
        origin = get_origin(inside) or inside
        if isinstance(value, dict) and isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            self.check(path, value, origin)
        elif isinstance(value, dict) and origin in _MAPPINGS:
            inner = (get_args(inside) or (Any, Any))[1]
            for key, item in value.items():
                self._value((*path, key), item, inner)
        elif isinstance(value, list) and origin in (list, set, frozenset, tuple):
            for index, item in enumerate(value):
                self._value((*path, index), item, _item_type(inside, index))
        if len(self._report.problems) > before:
            return
        if not _refers(value):
            self._convert(path, value, wanted)
        elif kind_of_value(value) not in (takes := kinds_of_type(wanted)):
            self._report.problem(path, f"must be {say(takes)}, not {shape.kind_of(value)}")

    def _is_literal(self, path: Path, text: str, wanted: Any) -> bool:
        """Tell whether a text with `${` in it is only that; otherwise check the kind of what it will be."""
        try:
            parts = references.parse(text)
        except BadReference:  # reported already
            return False
        refs = [part for part in parts if isinstance(part, Ref)]
        if not refs:
            return True
        given = self._kinds_of(refs[0]) if len(parts) == 1 else _TEXT
        takes = kinds_of_type(wanted)
        if not takes & given:
            hint = "as a whole value a reference keeps its type" if len(parts) == 1 else ""
            self._report.problem(path, f"must be {say(takes)}, but {shown(text)} is {say(given)}", hint)
        return False

    def _convert(self, path: Path, value: Any, wanted: Any) -> None:
        try:
            msgspec.convert(references.reveal(value, str), wanted)
        except msgspec.ValidationError as error:
            self._report.problem(path, *_explain(str(error), value, wanted))
        except (TypeError, OverflowError, ValueError) as error:
            self._report.problem(path, str(error))


def _refers(value: Any) -> bool:
    try:
        return next(references.find(value), None) is not None
    except BadReference:
        return True


def _bare(wanted: Any) -> Any:
    return get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted


def _member_for(value: Any, wanted: Any) -> Any:
    """Of a union, choose the only member that takes this kind of value, so that problems can be named inside it."""
    bare = _bare(wanted)
    if get_origin(bare) not in (Union, UnionType):
        return wanted
    kind = kind_of_value(value)
    takers = [member for member in get_args(bare) if kind in kinds_of_type(member)]
    return takers[0] if len(takers) == 1 else wanted


def _item_type(wanted: Any, index: int) -> Any:
    members = get_args(wanted) or (Any,)
    if get_origin(wanted) is tuple and members[-1] is not Ellipsis:
        return members[index] if index < len(members) else Any
    return members[0]


def _explain(said: str, value: Any, wanted: Any) -> tuple[str, str]:
    """Put msgspec's words into ours: what the value must be, and what to do."""
    if choices := _choices(wanted):
        listed = " or ".join(f"`{choice}`" for choice in choices)
        hint = suggest(value, map(str, choices)) if isinstance(value, str) else ""
        return f"must be {listed}, not {_shown_value(value)}", hint
    match = _EXPECTED.fullmatch(said)
    if match is None:
        return said, ""
    words = match[1].split(" | ")
    types = [_WORDS.get(word, word) for word in words if word != "null" or len(words) == 1]
    what = "must be " + " or ".join(types) + match[2].replace("array", "list").replace("object", "mapping")
    if match[3] is None:
        return what, ""
    is_number = isinstance(value, int | float) and "str" in words
    return f"{what}, not {shape.kind_of(value)}", "quote it" if is_number else ""


def _choices(wanted: Any) -> tuple[Any, ...]:
    bare = _bare(wanted)
    return get_args(bare) if get_origin(bare) is Literal else ()


def _shown_value(value: Any) -> str:
    return shown(value) if isinstance(value, str) else shape.kind_of(value)
