"""``providers``: what steps can do on this node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from orchestrator.cli.draw import Words, print_lines, print_table
from orchestrator.cli.failures import DONE, NOT_FOUND, Failure
from orchestrator.cli.options import command
from orchestrator.cli.session import Session
from orchestrator.cli.text import brief, span

_HEADS = ("TYPE", "VERSION", "UNDO", "VERBS", "WHAT IT IS")


@command()
@click.argument("type", metavar="[TYPE]", required=False)
@click.pass_obj
def providers(session: Session, type: str | None) -> int:
    """Show what steps can do here.

    With TYPE (`local.file`): all that its driver declares; with a provider (`local`): its types.
    """
    answer = session.client.get("/v1/providers")
    types = _types(answer.document())
    family = types if type is None else [each for each in types if _name(each).startswith(f"{type}.")]
    if type is not None and (not family or any(_name(each) == type for each in types)):
        _print_one(session, _find(types, type))
    elif session.json and type is None:
        session.document(answer)
    elif session.json:
        session.document_of(family)
    elif session.quiet:
        for each in family:
            session.say(_name(each))
    else:
        print_table(session, _HEADS, [_row(each) for each in family])
    return DONE


def _types(document: Any) -> list[dict[str, Any]]:
    found = document.get("providers", []) if isinstance(document, dict) else document
    if isinstance(found, dict):
        found = [{"type": name, **about} for name, about in found.items()]
    return sorted(found, key=_name)


def _name(about: dict[str, Any]) -> str:
    return str(about.get("type", ""))


def _find(types: list[dict[str, Any]], type: str) -> dict[str, Any]:
    for about in types:
        if _name(about) == type:
            return about
    from difflib import get_close_matches

    names = [_name(about) for about in types]
    near = get_close_matches(type, names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(names)}"
    raise Failure(f"there is no type `{type}` here", hint, exit_code=NOT_FOUND)


def _print_one(session: Session, about: dict[str, Any]) -> None:
    if session.json:
        session.document_of(about)
    elif session.quiet:
        session.say(_name(about))
    else:
        print_lines(session, list(declaration(about)))


def _row(about: dict[str, Any]) -> list[str]:
    verbs = about.get("verbs") or {}
    problems = about.get("problems") or about.get("unavailable")
    what = f"not available: {brief(problems)}" if problems else str(about.get("summary") or "")
    what = f"not asked now: {_silence(about['reach'])}" if _is_shut(about) else what
    undo = _effective(about["undo_policy"]) if about.get("undo_policy") else ""
    return [_name(about), str(about.get("version", "")), undo, ", ".join(_verb_names(verbs)), what]


def _verb_names(verbs: Any) -> list[str]:
    if isinstance(verbs, dict):
        return list(verbs)
    return [
        str(verb.get("name") or verb.get("verb")) if isinstance(verb, dict) else str(verb) for verb in verbs
    ]


def declaration(about: dict[str, Any]) -> Iterator[Words]:
    """Write what a driver declares: some lines for each verb, then whatever is not known here yet."""
    yield [(_name(about), "strong"), (f"  {about.get('version', '')}  {about.get('summary') or ''}", "")]
    if about.get("undo_policy"):
        yield [("policy", "faint"), (f"  {_policy(about['undo_policy'])}", "")]
    if about.get("service"):
        said = f", not asked now: {_silence(about['reach'])}" if _is_shut(about) else ""
        yield [("service", "faint"), (f" {about['service']}{said}", "")]
    verbs = about.get("verbs") or {}
    for name, verb in verbs.items() if isinstance(verbs, dict) else ():
        yield []
        yield [(name, "strong"), (f"  {verb.get('summary') or ''}", "")]
        for label, text in _verb_facts(verb):
            yield [(f"  {label:<9}", "faint"), (text, "")]
    if rest := {key: each for key, each in about.items() if each and key not in _SHOWN_OF_TYPE}:
        yield []
        yield from outline(rest)


def _is_shut(about: dict[str, Any]) -> bool:
    return (about.get("reach") or {}).get("since") is not None


def _silence(reach: dict[str, Any]) -> str:
    """Say since when a service has not answered, and when it is asked again."""
    return f"no answer since {reach['since']} ({brief(reach['error'])}), asked again at {reach['until']}"


def _policy(undo: dict[str, Any]) -> str:
    """Say what becomes of the undos of the type's steps, and who says so."""
    said = f"driver: {undo['driver']}, node: {undo['node']}"
    return f"undo {_effective(undo)} ({said}); a saga file can only tighten it"


def _effective(undo: dict[str, Any]) -> str:
    asks = " and asks first" if undo["asks_first"] and undo["effective"] != "hold" else ""
    return f"{undo['effective']}{asks}"


_SHOWN_OF_TYPE = {
    "type",
    "version",
    "contract",
    "summary",
    "verbs",
    "policy",
    "undo_policy",
    "service",
    "reach",
}
_SHOWN_OF_VERB = {"summary", "arguments", "outputs", "open_outputs", "changes", "inverse", "compensable"}
_SHOWN_OF_VERB |= {"irreversible", "repeat", "finds", "timeout"}


def _verb_facts(verb: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Say what a verb takes and gives, and what becomes of it when something goes wrong."""
    arguments = verb.get("arguments") or {}
    if arguments:
        yield "with", ", ".join(_argument(name, each) for name, each in arguments.items())
    outputs = [f"{name}: {kind}" for name, kind in (verb.get("outputs") or {}).items()]
    if outputs or verb.get("open_outputs"):
        yield "gives", ", ".join([*outputs, *(["and what is asked for"] if verb.get("open_outputs") else [])])
    yield "undo", _way_back(verb)
    yield "crash", _after_crash(verb)
    if verb.get("timeout"):
        yield "timeout", span(verb["timeout"] / 1000)
    for name, value in verb.items():
        if name not in _SHOWN_OF_VERB and value:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else _scalar(value)


def _argument(name: str, about: Any) -> str:
    """Write one argument, in brackets where it need not be given."""
    if not isinstance(about, dict):
        return f"{name}: {about}"
    if about.get("required"):
        return f"{name}: {about.get('type')}"
    default = f" = {about['default']}" if about.get("default") not in (None, "", [], {}) else ""
    return f"[{name}: {str(about.get('type')).removesuffix(' or null')}{default}]"


def _way_back(verb: dict[str, Any]) -> str:
    if verb.get("changes") is False:
        return "nothing to undo"
    if verb.get("irreversible"):
        return "none: it is irreversible"
    inverse = str(verb.get("inverse") or "none")
    return "what the step's own `undo` says" if inverse == "none" else inverse.replace("_", " ")


def _after_crash(verb: dict[str, Any]) -> str:
    if verb.get("repeat") in ("idempotent", "token", "name") or verb.get("changes") is False:
        return "safe to repeat"
    return "found out" if verb.get("finds") else "you are asked, unless the step says `idempotent: true`"


def outline(value: Any, depth: int = 0) -> Iterator[Words]:
    """Write a document as indented lines: whatever a driver declares is shown, also what is not known here yet."""
    indent = "  " * depth
    items = value.items() if isinstance(value, dict) else (("-", each) for each in value)
    for name, each in items:
        label = f"{indent}{name}" + ("" if name == "-" else ":")
        if isinstance(each, dict | list) and each:
            yield [(label, "strong")]
            yield from outline(each, depth + 1)
        elif each not in (None, "", [], {}):
            yield [(label, "faint" if depth else "strong"), (f" {_scalar(each)}", "")]


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
