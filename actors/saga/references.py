"""References: ``${inputs.NAME}``, ``${steps.NAME.FIELD}``, ``${self.FIELD}``, ``${saga.id}``, ``${secret.NAME}``.

In stack files there is ``${resources.NAME.FIELD}`` besides; a plan has none of those left.

A template is any JSON value whose strings may hold references; ``$${`` is a literal ``${``. A string that is one
whole reference keeps the type of what it stands for; inside a longer string scalars are put in as text. ``${$}`` is
a literal dollar, for the one place where a plain one would be read as part of what follows.

Resolving goes in two passes, so that secrets stay out of the record. ``record`` replaces everything but secrets and
escapes what it puts in: its result is a template again, holding secret references only, and is what is written down.
``reveal`` replaces those, just for the driver call. A sensitive output is a secret: what a step's reference to it resolves
to is a reference again, to the sealed value (``Ref``), which stays one. A value that merely looks like a reference (an input whose text is
``${secret.token}``) is escaped by the first pass and therefore never resolved by the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

ROOTS = ("inputs", "steps", "resources", "self", "saga", "secret")

_TOKEN = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_INDEX = re.compile(r"[0-9]{1,9}")
_LITERALS = {"$${": "${", "${$}": "$"}
_LONGEST_REMEMBERED = 256
"""Characters; a file's whole content may be a template too, and 4,096 of those would be a lot of memory."""


class Ref(msgspec.Struct, frozen=True):
    """A reference: its root and the path below it. A secret's name is one part, dots and all."""

    root: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        """Give the reference as it is written."""
        return "${" + ".".join((self.root, *self.path)) + "}"


class BadReference(ValueError):
    """A reference that cannot be understood or does not resolve. The message is for the file's author."""


Lookup = Callable[[Ref], Any]


def parse(text: str) -> tuple[str | Ref, ...]:
    """Split a string into literal text (unescaped) and references. Raises BadReference."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _parse(text)


def _parse(text: str) -> tuple[str | Ref, ...]:
    parts: list[str | Ref] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        end = match.end()
        if match[0] in _LITERALS:
            parts.append(_LITERALS[match[0]])
        elif match[1] is None:
            msg = f"`${{` without a closing `}}` in {text[:60]!r}: close it, or write `$${{` for the two characters"
            raise BadReference(msg)
        else:
            parts.append(_ref(match[1].strip()))
    if end < len(text):
        parts.append(text[end:])
    return tuple(parts)


_remembered = lru_cache(maxsize=4096)(_parse)


def _ref(inside: str) -> Ref:
    root, *path = inside.split(".")
    if root == "secret" and path:
        path = [".".join(path)]
    if root not in ROOTS or not path or not all(path):
        forms = "${inputs.NAME}, ${steps.NAME.FIELD}, ${self.FIELD}, ${saga.id}, ${saga.kind}, ${secret.NAME}"
        msg = f"`${{{inside}}}` is not a reference; there are {forms}; `$${{` is a literal `${{`"
        raise BadReference(msg)
    return Ref(root, tuple(path))


def pieces(text: str) -> list[str]:
    """Give whatever in the text looks like a reference or literal, each as it is written, right or wrong."""
    return [match[0] for match in _TOKEN.finditer(text)]


def whole(text: str) -> Ref | None:
    """Give the reference that the string is, if it is one whole reference."""
    parts = parse(text)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Ref) else None


def mentions(template: Any) -> bool:
    """Tell whether there is anything in a template that ``record`` or ``reveal`` would change: mostly there is not."""
    if isinstance(template, str):
        return "${" in template
    if isinstance(template, dict):
        return any(map(mentions, template.values()))
    return isinstance(template, list) and any(map(mentions, template))


def find(template: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Ref]]:
    """Go through every reference in a template with the path to it. Raises BadReference."""
    if isinstance(template, str):
        if "${" in template:
            for part in parse(template):
                if isinstance(part, Ref):
                    yield where, part
    elif isinstance(template, dict):
        for key, value in template.items():
            yield from find(value, (*where, key))
    elif isinstance(template, list):
        for index, value in enumerate(template):
            yield from find(value, (*where, index))


def dig(value: Any, path: tuple[str, ...], ref: Ref) -> Any:
    """Follow a path into a value: names into dicts, numbers into lists. Raises BadReference naming what is missing.

    What is within a sealed value shows only when it is opened.
    """
    for part in path:
        if isinstance(value, Ref):
            value = Ref(value.root, (f"{value.path[0]}.{part}",))
        elif isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and _INDEX.fullmatch(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            msg = f"{ref} does not resolve: there is no `{part}`{_choice(value)}"
            raise BadReference(msg)
    return value


def _choice(value: Any) -> str:
    if isinstance(value, dict) and value:
        return " (there are: " + ", ".join(sorted(map(str, value))[:12]) + ")"
    if isinstance(value, list):
        return f" (a list of {len(value)})"
    return ""


def record(template: Any, lookup: Lookup) -> Any:
    """First pass: everything but secrets replaced, and escaped so that the result is a template again."""
    return _walk(template, lookup, keep_secrets=True)


def reveal(recorded: Any, secret: Callable[[str], str]) -> Any:
    """Second pass: secrets replaced, escapes undone. What it gives must reach nothing but the driver call."""
    return _walk(recorded, lambda ref: secret(ref.path[0]), keep_secrets=False)


def _walk(template: Any, lookup: Lookup, *, keep_secrets: bool) -> Any:
    if isinstance(template, str):
        return _string(template, lookup, keep_secrets=keep_secrets) if "${" in template else template
    if isinstance(template, dict):
        return {key: _walk(value, lookup, keep_secrets=keep_secrets) for key, value in template.items()}
    if isinstance(template, list):
        return [_walk(value, lookup, keep_secrets=keep_secrets) for value in template]
    return template


def _string(text: str, lookup: Lookup, *, keep_secrets: bool) -> Any:
    parts = parse(text)
    if len(parts) == 1 and isinstance(parts[0], Ref):
        ref = parts[0]
        if not keep_secrets:
            return lookup(ref)
        return str(ref) if ref.root == "secret" else escape(lookup(ref))
    out: list[str] = []
    run: list[str] = []
    for part in parts:
        value = part if isinstance(part, str) or (part.root == "secret" and keep_secrets) else lookup(part)
        if isinstance(value, Ref):
            out.append(before_reference(escape("".join(run))))
            out.append(str(value))
            run = []
        else:
            run.append(as_text(part, value) if isinstance(part, Ref) else part)
    rest = "".join(run)
    return "".join(out) + (escape(rest) if keep_secrets else rest)


def before_reference(text: str) -> str:
    """Give literal text as it is written just before a reference, which dollars would make a literal: each as one."""
    bare = text.rstrip("$")
    return bare + "${$}" * (len(text) - len(bare))


def escape(value: Any) -> Any:
    """Make a value a template that stands for itself; what is sealed in it stays a reference."""
    if isinstance(value, Ref):
        return str(value)
    if isinstance(value, str):
        return value.replace("${", "$${") if "${" in value else value
    if isinstance(value, dict):
        return {key: escape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape(item) for item in value]
    return value


def as_text(ref: Ref, value: Any) -> str:
    """Give a value as it is put into a longer text. Raises BadReference for what is no scalar."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    kind = {dict: "an object", list: "a list", type(None): "null"}[type(value)]
    msg = f"{ref} is {kind} and cannot be put into a longer string; use it as the whole value"
    raise BadReference(msg)
