"""What a call is about: what it is to bring about, of which thing, and how long that may not be shown."""

from __future__ import annotations

from datetime import datetime

from providers.contract import ABSENT, Call, Image, Value


def goal(call: Call) -> Image:
    """Give the image that the call is to bring about."""
    return call.restore or call.after or ABSENT


def makes(call: Call) -> bool:
    """Tell whether the call is to make something that is not there, or was not when it was planned."""
    return goal(call).exists and not (call.before or ABSENT).exists


def known_id(call: Call) -> Value:
    """Give the id of what the call is about, where it is known beforehand: of a restore the original's output."""
    if call.restore is not None and "id" in call.outputs:
        return call.outputs["id"]
    return getattr(call.arguments, "id", None)


def young(age: int, settle: int) -> int:
    """Give the milliseconds for which something of this age may still not be shown.

    Times are the service's where we saw nothing ourselves, and may be a little ahead of ours; much ahead, they say nothing.
    """
    return min(settle - age, settle) if -settle < age < settle else 0


def milliseconds(time: Value) -> int:
    """Read a time of the service as UTC milliseconds; 0 where there is none."""
    try:
        return round(datetime.fromisoformat(time).timestamp() * 1000) if isinstance(time, str) else 0
    except ValueError:
        return 0
