"""How late the fake's answers are: what was made is not seen at once, what was deleted is still seen.

Each table is by kind of object (`KINDS`); a kind that is not in it has no lag. A test may change them in the middle.
"""

from dataclasses import dataclass, field

KINDS = frozenset(
    {
        "action",
        "app",
        "deployment",
        "domain",
        "droplet",
        "firewall",
        "record",
        "reserved_ip",
        "snapshot",
        "spaces_key",
        "tag",
        "volume",
    }
)


def _durations() -> dict[str, float]:
    return {
        "create": 20.0,
        "snapshot": 30.0,
        "resize": 30.0,
        "deployment": 30.0,
        "firewall": 5.0,
    }


@dataclass
class Lags:
    """Seconds of the fake's clock."""

    hidden: dict[str, float] = field(default_factory=dict)
    """A new object is 404 by its id for this long."""
    unlisted: dict[str, float] = field(default_factory=dict)
    """A new object is missing in lists for this long (a snapshot: after its action has completed)."""
    lingers: dict[str, float] = field(default_factory=dict)
    """A deleted object stays in lists for this long."""
    remembered: dict[str, float] = field(default_factory=dict)
    """A deleted object is still found by its id for this long."""
    takes: dict[str, float] = field(default_factory=_durations)
    """How long an action (``snapshot``, ``resize``, ``power_off``, ``attach``, …) is in progress."""
    otherwise: float = 5.0
    """How long an action takes that is not in `takes`."""

    def __post_init__(self) -> None:
        """Refuse a kind that no object is of: its lag would be none."""
        for table in (self.hidden, self.unlisted, self.lingers, self.remembered):
            if unknown := table.keys() - KINDS:
                raise ValueError(f"no such kind: {unknown}; there are {sorted(KINDS)}")

    def duration(self, action: str) -> float:
        """How long an action of that type is in progress."""
        return self.takes.get(action, self.otherwise)
