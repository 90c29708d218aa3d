"""JSON's kinds of values, and which of them a Python type of the driver contract takes or gives."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Any

from msgspec import inspect

Kinds = frozenset[str]

ANY: Kinds = frozenset({"string", "integer", "number", "boolean", "list", "object", "null"})
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_OF_INFO: dict[type[inspect.Type], Kinds] = {
    inspect.NoneType: frozenset({"null"}),
    inspect.BoolType: frozenset({"boolean"}),
    inspect.IntType: frozenset({"integer"}),
    inspect.FloatType: frozenset({"integer", "number"}),
    inspect.StrType: frozenset({"string"}),
    inspect.ListType: frozenset({"list"}),
    inspect.SetType: frozenset({"list"}),
    inspect.FrozenSetType: frozenset({"list"}),
    inspect.TupleType: frozenset({"list"}),
    inspect.VarTupleType: frozenset({"list"}),
    inspect.DictType: frozenset({"object"}),
    inspect.StructType: frozenset({"object"}),
}
_OF_PYTHON = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


@lru_cache(maxsize=1024)
def kinds_of_type(python_type: Any) -> Kinds:
    """Tell which kinds of values a type takes; any, where that cannot be told."""
    try:
        return _of_info(inspect.type_info(python_type))
    except TypeError:
        return ANY


def _of_info(info: inspect.Type) -> Kinds:
    if isinstance(info, inspect.Metadata):
        return _of_info(info.type)
    if isinstance(info, inspect.UnionType):
        return frozenset().union(*(_of_info(member) for member in info.types))
    if isinstance(info, inspect.LiteralType):
        return frozenset(_OF_PYTHON[type(value)] for value in info.values)
    if isinstance(info, inspect.EnumType):
        return frozenset(_OF_PYTHON.get(type(member.value), "string") for member in _members(info.cls))
    return _OF_INFO.get(type(info), ANY)


def _members(cls: type[Enum]) -> list[Enum]:
    return list(cls)


def kind_of_value(value: Any) -> str:
    """Tell which kind a JSON value is."""
    if isinstance(value, dict):
        return "object"
    return "list" if isinstance(value, list) else _OF_PYTHON[type(value)]


def say(kinds: Kinds) -> str:
    """Say kinds in words: ``text or nothing``."""
    if kinds == ANY:
        return "anything"
    if "number" in kinds:
        kinds -= {"integer"}
    if len(kinds) > 1:
        kinds -= {"null"}
    return " or ".join(word for kind, word in _WORDS.items() if kind in kinds)
