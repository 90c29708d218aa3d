"""What of a resource may be written down as seen: secrets as references, and nothing that stands in a secret's place. Pure.

What comes here has been redacted: a value that is a secret stands as its reference. So a field whose spec names a secret is
the same if the reference is the same; if it is not, what is there instead may be an older secret, and is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actors.drift.compare import equal
from actors.resources import HIDDEN
from actors.saga.references import BadReference, find


def hidden(spec: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Give live fields as they may be kept, by what the spec says of each."""
    return {name: _hidden(spec.get(name), value) for name, value in live.items()}


def _hidden(wanted: Any, live: Any) -> Any:
    if live is None or not _is_guarded(wanted):
        return live
    if isinstance(wanted, dict) and isinstance(live, dict):
        return {key: _hidden(wanted.get(key), value) for key, value in live.items()}
    return live if equal(wanted, live) else HIDDEN


def _is_guarded(wanted: Any) -> bool:
    """Tell whether a secret belongs there, or somewhere in it."""
    if isinstance(wanted, str):
        return "${" in wanted or HIDDEN in wanted
    if isinstance(wanted, dict):
        return any(map(_is_guarded, wanted.values()))
    return isinstance(wanted, list) and any(map(_is_guarded, wanted))


def comparable(spec: Mapping[str, Any], has_secret: Callable[[str], bool]) -> dict[str, Any]:
    """Give the fields of a spec that can be compared: what it holds must be known, if only by its reference."""
    return {name: value for name, value in spec.items() if _is_known(value, has_secret)}


def _is_known(value: Any, has_secret: Callable[[str], bool]) -> bool:
    if not _is_guarded(value):
        return True
    if _holds_hidden(value):
        return False
    try:
        references = [ref for _, ref in find(value)]
    except BadReference:
        return False  # a text of the world's own that looks like one; what is there is written the same way
    return all(ref.root == "secret" and has_secret(ref.path[0]) for ref in references)


def _holds_hidden(value: Any) -> bool:
    if isinstance(value, str):
        return HIDDEN in value
    if isinstance(value, dict):
        return any(map(_holds_hidden, value.values()))
    return isinstance(value, list) and any(map(_holds_hidden, value))
