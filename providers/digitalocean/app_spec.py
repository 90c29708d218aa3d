"""Specs of apps, compared: what is left out, what is sealed, what nobody may see.

The service fills in what a spec leaves out, so a plan asks it what a spec would become. It seals the values of variables
of the type SECRET (`EV[…]`): a sealed value can be sent again, but whether it is the one that somebody has given in
plain nobody can tell.
"""

from __future__ import annotations

from typing import Any

SEALED = "EV["
REFERENCE = "${secret."
"""How a secret stands in what is on record."""


def alike(one: Any, other: Any) -> bool:
    """Tell whether two specs, or parts of them, are the same as far as can be seen. What is empty is left out."""
    if isinstance(one, dict) and isinstance(other, dict):
        left_out = {"value"} if _secret(one) and _secret(other) and not _both_sealed(one, other) else set()
        return all(alike(one.get(name), other.get(name)) for name in (one.keys() | other.keys()) - left_out)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if _is_reference(one) or _is_reference(other):
        return True
    return bool(one == other) or (_empty(one) and _empty(other))


def veiled(spec: Any) -> bool:
    """Tell whether there is something in a spec that cannot be compared with what the service shows."""
    if isinstance(spec, dict):
        plain = _secret(spec) and not str(spec.get("value", SEALED)).startswith(SEALED)
        return plain or any(map(veiled, spec.values()))
    return any(map(veiled, spec)) if isinstance(spec, list) else _is_reference(spec)


def refers(spec: Any) -> bool:
    """Tell whether a secret's reference stands in a spec that was read, where its value stood in plain."""
    if isinstance(spec, dict):
        return any(map(refers, spec.values()))
    return any(map(refers, spec)) if isinstance(spec, list) else _is_reference(spec)


def _secret(part: dict[str, Any]) -> bool:
    return part.get("type") == "SECRET"


def _both_sealed(*parts: dict[str, Any]) -> bool:
    return all(str(part.get("value", "")).startswith(SEALED) for part in parts)


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and REFERENCE in value


def _empty(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})
