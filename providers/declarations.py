"""A driver's declaration: looked through when it is loaded, and told to whoever asks what there is."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args

import msgspec

from providers.contract import CONTRACT, Driver, Inverse, Repeat, Verb

NEEDED = {
    "delete": {"delete"},
    "update": {"update"},
    "create": {"create"},
    "put_back": {"create", "update", "delete"},
}
"""The verbs that an inverse is made of."""

READS_BEFORE = frozenset({"update", "create", "put_back"})
"""Inverses that put a before-image back, which only `plan` can have read."""

ASKS_WITH = frozenset({"message", "approvers", "expires"})
"""The arguments of a verb that `asks`."""

ASYNCHRONOUS = ("plan", "apply", "poll", "read", "witness", "end", "find", "close")
POLICIES = frozenset({"auto", "none", "hold", "required"})
ENDINGS = frozenset({"partial", "compensated"})


def declaration_problems(driver: Any) -> list[str]:
    """Name everything that is wrong with a driver's declaration; an empty list is a driver that can be used."""
    if not (inspect.isclass(driver) and issubclass(driver, Driver)):
        return [f"{driver!r} is not a class derived from providers.contract.Driver"]
    if driver.contract != CONTRACT:
        return [
            f"it was written for contract {driver.contract}, this sagad has {CONTRACT}: install its release for it"
        ]
    return [*_class_problems(driver), *_verbs_problems(driver)]


def _class_problems(driver: type[Driver]) -> Iterator[str]:
    if abstract := sorted(driver.__abstractmethods__):
        yield f"{', '.join(abstract)}: not implemented"
    if not _matches(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", getattr(driver, "type", None)):
        yield "type: must be lower-case words with dots between, as `local.file`"
    if not _matches(r"[0-9]+(\.[0-9]+)*", getattr(driver, "version", None)):
        yield "version: must be numbers with dots between, as `1.0`"
    if driver.policy not in POLICIES:
        yield f"policy: `{driver.policy}` is none of {', '.join(sorted(POLICIES))}"
    for name in ASYNCHRONOUS:
        if not inspect.iscoroutinefunction(getattr(driver, name)):
            yield f"{name}: must be an `async def`"


def _verbs_problems(driver: type[Driver]) -> Iterator[str]:
    verbs = getattr(driver, "verbs", None)
    if not isinstance(verbs, Mapping) or not verbs:
        yield "verbs: must map at least one verb to its declaration"
        return
    outputs: set[str] = set()
    for name, verb in verbs.items():
        if not _matches(r"[a-z][a-z0-9_]*", name):
            yield f"verbs: `{name}` must be a lower-case word"
        if not isinstance(verb, Verb):
            yield f"{name}: must be a providers.contract.Verb"
            continue
        outputs |= set(verb.outputs)
        yield from (f"{name}: {problem}" for problem in _verb_problems(driver, verb))
    if unknown := sorted(driver.sensitive - outputs):
        yield f"sensitive: {', '.join(unknown)}: no verb puts that out"


def _verb_problems(driver: type[Driver], verb: Verb) -> Iterator[str]:
    yield from _shape_problems(verb)
    if (verb.only_while is None) != (verb.around is None):
        yield "only_while, around: the one says when, the other how to get there: give both"
    if missing := sorted(set(verb.around or ()) - set(driver.verbs)):
        yield f"around: there is no verb {' and '.join(missing)}"
    yield from _inverse_problems(driver, verb)
    if verb.repeat not in get_args(Repeat):
        yield f"repeat: `{verb.repeat}` is none of {', '.join(get_args(Repeat))}"
    if verb.repeat in {"find", "name"} and not verb.finds:
        yield f"repeat: `{verb.repeat}` looks for what was done, so `finds` must be set"
    if verb.finds and not _overrides(driver, "find", "read"):
        yield "finds: the driver has neither a find() nor a read() to look with"
    if verb.settle and not verb.finds:
        yield "settle: only a verb that `finds` can wait for what it looks for"


def _shape_problems(verb: Verb) -> Iterator[str]:
    """What is wrong with arguments, outputs and figures, each for itself."""
    fields: set[str] = set()
    arguments: Any = verb.arguments  # what somebody has written, whatever the contract says
    if not (inspect.isclass(arguments) and issubclass(arguments, msgspec.Struct)):
        yield "arguments: must be a msgspec Struct"
    else:
        fields = set(arguments.__struct_fields__)
        yield from _type_problems("arguments", arguments)
    for name, kind in verb.outputs.items():
        yield from _type_problems(f"outputs: {name}", kind)
    if unknown := sorted(set[str](verb.may_end) - ENDINGS):
        yield f"may_end: {', '.join(unknown)}: only {' and '.join(sorted(ENDINGS))} need saying"
    if verb.asks and (missing := sorted(ASKS_WITH - fields)):
        yield f"asks: there is no argument {' and '.join(missing)}"
    if unknown := sorted(verb.replaces - fields):
        yield f"replaces: {', '.join(unknown)}: there is no such argument"
    if verb.settle < 0:
        yield f"settle: must be >= 0 milliseconds: {verb.settle}"
    if verb.timeout is not None and verb.timeout <= 0:
        yield f"timeout: must be > 0 milliseconds, or None: {verb.timeout}"


def _type_problems(where: str, kind: Any) -> Iterator[str]:
    try:
        msgspec.inspect.type_info(kind)
    except Exception as error:  # noqa: BLE001 - a bad annotation may raise anything, a NameError above all
        yield f"{where}: no type that can be checked: {error}"


def _inverse_problems(driver: type[Driver], verb: Verb) -> Iterator[str]:
    if verb.inverse not in get_args(Inverse):
        yield f"inverse: `{verb.inverse}` is none of {', '.join(get_args(Inverse))}"
        return
    if missing := sorted(NEEDED.get(verb.inverse, set()) - set(driver.verbs)):
        yield f"inverse: `{verb.inverse}` needs the verb {' and '.join(missing)}"
    if verb.inverse in READS_BEFORE and not _overrides(driver, "plan"):
        yield f"inverse: `{verb.inverse}` puts a before-image back, but there is no plan() to read it"
    if verb.inverse != "none" and not verb.changes:
        yield f"inverse: `{verb.inverse}`, but it changes nothing"
    if verb.inverse != "none" and verb.irreversible:
        yield f"inverse: `{verb.inverse}`, but it is irreversible"
    if verb.irreversible and not verb.changes:
        yield "irreversible: it changes nothing"


def _overrides(driver: type[Driver], *names: str) -> bool:
    return any(getattr(driver, name) is not getattr(Driver, name) for name in names)


def _matches(pattern: str, text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(pattern, text) is not None


# --- description ----------------------------------------------------------------------------------------------------


def describe(driver: Driver) -> dict[str, Any]:
    """Tell all that a driver declares, as JSON (`sagactl providers`)."""
    return {
        "type": driver.type,
        "version": driver.version,
        "contract": driver.contract,
        "summary": driver.summary,
        "policy": driver.policy,
        "service": driver.service or None,
        "sensitive": sorted(driver.sensitive),
        "spec": None if driver.spec is None else sorted(driver.spec),
        "verbs": {name: _describe_verb(verb) for name, verb in driver.verbs.items()},
    }


def _describe_verb(verb: Verb) -> dict[str, Any]:
    return {
        "summary": verb.summary,
        "arguments": {field.encode_name: _describe_field(field) for field in _fields(verb.arguments)},
        "outputs": {name: type_text(kind) for name, kind in verb.outputs.items()},
        "open_outputs": verb.open_outputs,
        "changes": verb.changes,
        "inverse": verb.inverse,
        "compensable": verb.compensable,
        "irreversible": verb.irreversible,
        "repeat": verb.repeat,
        "finds": verb.finds,
        "may_end": sorted(verb.may_end),
        "replaces": sorted(verb.replaces),
        "only_while": None if verb.only_while is None else dict([verb.only_while]),
        "around": None if verb.around is None else list(verb.around),
        "settle": verb.settle,
        "timeout": verb.timeout,
        "asks": verb.asks,
    }


def _fields(arguments: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    return cast("msgspec.inspect.StructType", msgspec.inspect.type_info(arguments)).fields


def _describe_field(field: msgspec.inspect.Field) -> dict[str, Any]:
    described = {"type": _text(field.type), "required": field.required}
    # An argument that is simply unset has neither a default nor a factory.
    if field.default_factory is not msgspec.NODEFAULT:
        described["default"] = field.default_factory()
    elif field.default is not msgspec.NODEFAULT:
        described["default"] = msgspec.to_builtins(field.default)
    return described


def type_text(kind: Any) -> str:
    """Say a Python type in a user's words: `list of string`, `one of error, transient`, `integer or null`."""
    return _text(msgspec.inspect.type_info(kind))


WORDS: dict[type, str] = {
    msgspec.inspect.AnyType: "any",
    msgspec.inspect.NoneType: "null",
    msgspec.inspect.BoolType: "boolean",
    msgspec.inspect.IntType: "integer",
    msgspec.inspect.FloatType: "number",
    msgspec.inspect.StrType: "string",
    msgspec.inspect.DateTimeType: "time",
}


def _text(info: msgspec.inspect.Type) -> str:
    match info:
        case msgspec.inspect.Metadata(type=inner):
            return _text(inner)
        case msgspec.inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case msgspec.inspect.UnionType(types=types):
            return " or ".join(map(_text, types))
        case msgspec.inspect.DictType(value_type=inner):
            return f"map{_of(inner)}"
        case msgspec.inspect.ListType(item_type=inner) | msgspec.inspect.VarTupleType(item_type=inner):
            return f"list{_of(inner)}"
    return WORDS.get(type(info), "map")


def _of(inner: msgspec.inspect.Type) -> str:
    if isinstance(inner, msgspec.inspect.AnyType):
        return ""
    return f" of ({_text(inner)})" if isinstance(inner, msgspec.inspect.UnionType) else f" of {_text(inner)}"
