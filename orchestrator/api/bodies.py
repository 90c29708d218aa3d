"""What a request carries: its body and its query, read within limits and checked with every problem named at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from urllib.parse import parse_qsl

import msgspec

from orchestrator.api.problems import TooSlow, Unsupported
from orchestrator.api.words import read_word
from orchestrator.files.problems import shown, suggest
from orchestrator.problems import Invalid, Item, Malformed, TooLarge
from orchestrator.requests import VERBS, BatchSubmission, StackSubmission, Submission, VerbBody

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

BODY_SECONDS = 30.0
"""So long a body may take to arrive."""

MOST_PARAMETERS = 100

_ANYTHING = msgspec.json.Decoder()

T = TypeVar("T", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Takes nothing."""


# --- reading ----------------------------------------------------------------------------------------------------------


async def read_body(request: BaseRequest, limit: int) -> bytes:
    """Read the whole body. Raises TooLarge as soon as it is known to be, which leaves the rest unread."""
    if encoding := request.headers.get("Content-Encoding"):
        raise Unsupported(
            f"the body is sent as {shown(encoding)}: send it as it is, without Content-Encoding"
        )
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    content = request.content
    if content.is_eof():  # it came with the head, as small ones do
        body = content.read_nowait(-1)
        if len(body) > limit:
            raise _too_large(limit)
        return body
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_parts(request, limit)
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {BODY_SECONDS:g} seconds") from None


async def _read_parts(request: BaseRequest, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await request.content.readany():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the request's body is larger than {limit} bytes, which is `[limits] request_bytes` of this node"
    )


# --- checking ---------------------------------------------------------------------------------------------------------


def decode_body(kind: type[T], body: bytes) -> T:
    """Read a JSON body; none at all counts as `{}`. Raises Malformed, or Invalid with every problem."""
    body = body.strip() or b"{}"
    try:
        read: T = _json(_decoder(kind), body)
    except msgspec.ValidationError as error:
        raise _invalid("the body", kind, _json(_ANYTHING, body), error) from None
    return read


def _json(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not JSON in UTF-8: {error}", code="not_json") from None
    except RecursionError:
        raise Malformed("the body is nested too deeply", code="not_json") from None


def decode_query(kind: type[T], text: str) -> T:
    """Read a query string. Raises Invalid with every problem."""
    if not text:
        nothing: T = _empty(kind)
        return nothing
    given, problems = _parameters(kind, text)
    try:
        query = msgspec.convert(given, kind, strict=False, dec_hook=read_word)
    except msgspec.ValidationError as error:
        raise _invalid("the query", kind, given, error, problems, strict=False) from None
    if problems:
        raise Invalid("the query is not valid", problems)
    return query


def _parameters(kind: type[T], text: str) -> tuple[dict[str, Any], list[Item]]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except UnicodeDecodeError:
        raise Malformed("the query is not UTF-8") from None
    except ValueError:
        raise Malformed(f"the query has more than {MOST_PARAMETERS} parameters") from None
    lists = _lists(kind)
    given: dict[str, Any] = {}
    problems = []
    for name, value in pairs:
        if name in lists:
            given.setdefault(name, []).append(value)
        elif name in given:
            problems.append(Item(name, f"{shown(name)} is given more than once", "give it once"))
        else:
            given[name] = value
    return given, problems


@cache
def _lists(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Give the parameters that may come more than once. To look at a struct's fields takes 20 µs."""
    return frozenset(field.name for field in msgspec.structs.fields(kind) if field.default_factory is list)


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind, dec_hook=read_word)


@cache
def _empty(kind: type[T]) -> T:
    return kind()


def _invalid(
    what: str,
    kind: type[msgspec.Struct],
    given: Any,
    error: msgspec.ValidationError,
    found: list[Item] | None = None,
    *,
    strict: bool = True,
) -> Invalid:
    """Name everything that is wrong; msgspec itself stops at the first."""
    if not isinstance(given, dict):
        return Invalid(f"{what} is not a JSON object", [Item(what, "is not a JSON object", "write {…}")])
    items = [*(found or []), *_problems(kind, given, strict=strict)]
    return Invalid(f"{what} is not valid", items or [Item(what, str(error))])


def _problems(kind: type[msgspec.Struct], given: Mapping[str, Any], *, strict: bool) -> Iterator[Item]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, value in given.items():
        if name not in fields:
            hint = suggest(name, fields) if fields else "leave it out"
            yield Item(name, f"unknown key {shown(name)}", hint)
            continue
        try:
            msgspec.convert(value, fields[name].type, strict=strict, dec_hook=read_word)
        except msgspec.ValidationError as error:
            text, _, path = str(error).partition(" - at `$")
            yield Item(
                name + path.rstrip("`"),
                re.sub("^Expected", "expected", text),
                _choices(fields[name].type, value),
            )


def _choices(kind: Any, value: Any) -> str:
    choices = [each for part in (kind, *get_args(kind)) for each in get_args(part) if isinstance(each, str)]
    return suggest(value, choices) if choices and isinstance(value, str) else ""


def check_submission(given: Submission | VerbBody) -> None:
    """Raise Invalid unless there is exactly one file, as a document or as text with its format."""
    problems = []
    document = given.saga if given.saga is not None else getattr(given, "stack", None)
    if document is None and given.source is None:
        problems.append(Item("saga", "is missing", "give `saga`, or `source` and `format`"))
    if document is not None and given.source is not None:
        problems.append(Item("source", "is given beside `saga`", "give one of them"))
    if given.source is not None and given.format is None:
        problems.append(Item("format", "is missing", "say what `source` is written in: yaml, toml or json"))
    if given.source is None and given.format is not None:
        problems.append(Item("format", "is given without `source`", "leave it out"))
    if problems:
        raise Invalid("the body is not valid", problems)


def check_stack(given: StackSubmission, *, plans: bool = False) -> None:
    """Raise Invalid unless there is exactly one stack file; with ``plans`` a saved plan will do."""
    problems = []
    planned = given.plan is not None or given.actions is not None
    whole = isinstance(given.stack, dict)
    if planned and not plans:
        problems.append(Item("plan", "is a plan already", "give the stack file"))
    if not planned and not whole and given.resources is None and given.source is None:
        problems.append(
            Item("resources", "is missing", "give `stack` and `resources`, or `source` and `format`")
        )
    if given.source is not None and given.format is None:
        problems.append(Item("format", "is missing", "say what `source` is written in: yaml, toml or json"))
    if given.source is not None and (given.stack is not None or given.resources is not None):
        problems.append(Item("source", "is given beside `stack`", "give one of them"))
    if problems:
        raise Invalid("the body is not valid", problems)


def check_batch(given: BatchSubmission) -> None:
    """Raise Invalid unless there is exactly one batch file, as a document or as text with its format."""
    problems = []
    whole = isinstance(given.batch, dict)
    if given.sagas is None and given.source is None and not whole:
        problems.append(Item("sagas", "is missing", "give `batch` and `sagas`, or `source` and `format`"))
    if given.source is not None and given.format is None:
        problems.append(Item("format", "is missing", "say what `source` is written in: yaml, toml or json"))
    beside = [
        name
        for name in ("batch", "mode", "parallel", "on_failure", "sagas")
        if getattr(given, name) is not None
    ]
    if given.source is not None and beside:
        problems.append(Item("source", f"is given beside `{beside[0]}`", "give one of them"))
    elif whole and len(beside) > 1:
        problems.append(Item(beside[1], "is given beside `batch: {…}`", "put it into that"))
    if problems:
        raise Invalid("the body is not valid", problems)


def check_verb(verb: str, body: VerbBody) -> None:
    """Raise Invalid unless what is said belongs to the verb, and all that the verb needs is said."""
    known = VERBS[verb]
    problems = [
        Item(name, f"{verb} does not take `{name}`", _takers(name))
        for name in _said(body)
        if name != "reason" and name not in known.takes
    ]
    problems += [
        Item(name, f"{verb} needs `{name}`", "give it") for name in known.needs if name not in _said(body)
    ]
    if problems:
        raise Invalid(f"{verb} cannot be understood", problems)


def _said(body: VerbBody) -> list[str]:
    return [
        field.encode_name
        for field in msgspec.structs.fields(body)
        if getattr(body, field.name) not in (None, False, "")
    ]


def _takers(name: str) -> str:
    return "it goes with " + ", ".join(verb for verb, known in VERBS.items() if name in known.takes)
