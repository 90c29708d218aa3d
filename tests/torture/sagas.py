"""Sagas at random, each with what it is to do to the world: every place is one saga's own, but for the shared files."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.cloud import DOMAIN
from tests.torture.world import Place, World, content

APPEND = 'sleep "$3"; printf "%s %s\\n" "$1" "$SAGAD_EXECUTION" >> "$2"; sleep "$4"'
CHECK = 'grep -q "^$1 $SAGAD_EXECUTION\\$" "$2"'
RETRY = {"attempts": 8, "delay": "20ms", "max_delay": "500ms"}
UNDO_RETRY = {"attempts": 60, "delay": "20ms", "max_delay": "500ms"}
SHARED = 25
RULES = [{"protocol": "tcp", "ports": "22", "sources": {"addresses": ["10.0.0.0/8"]}}]

Step = dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """What is at a place once a step is in effect."""

    step: str
    place: Place
    after: str | int | None


@dataclass
class Sent:
    """A saga that was sent, or was to be, and what it does to the world."""

    number: int
    file: dict[str, Any]
    marks: list[Mark] = field(default_factory=list)
    before: dict[Place, str | int | None] = field(default_factory=dict)
    acknowledged: bool = False
    may_be_twice: bool = False
    """It was sent without a key, so that a lost answer leaves open whether it is there."""

    @property
    def kind(self) -> str:
        """What it is known by."""
        return f"t{self.number}"


class Author:
    """Writes sagas."""

    def __init__(self, chance: random.Random, world: World) -> None:
        """Write at random, for this world."""
        self.chance = chance
        self.world = world
        self.number = 0
        self._droplet = 0

    def saga(self) -> Sent:
        """Write the next one."""
        self.number += 1
        sent = Sent(self.number, {})
        folder = self.world.site / f"w{self.number}"
        folder.mkdir()
        makers: list[Callable[[Sent, str], Step]] = [
            self._create, self._create, self._update, self._delete, self._put, self._shared, self._shared,
            self._command, self._command, self._asked, self._record, self._firewall, self._volume, self._droplets,
            self._chain, self._quiet, self._trips,
        ]  # fmt: skip
        count = self.chance.randint(1, 6)
        steps = [self.chance.choice(makers)(sent, f"s{index}") for index in range(count)]
        if self.chance.random() < 0.3:
            steps.append({"name": "fails", "do": "test.fail", "with": {"kind": "error"}})
        sent.file = {"saga": sent.kind, "steps": self._ordered(steps), **self._manner()}
        return sent

    def _ordered(self, steps: list[Step]) -> list[Step]:
        """Now and then as a graph. Steps of one place keep their order."""
        if self.chance.random() > 0.25:
            return steps
        last: dict[str, str] = {}
        for index, step in enumerate(steps):
            path = str(step["with"].get("path"))
            needs = [last[path]] if path in last else []
            if index and self.chance.random() < 0.4:
                needs.append(steps[self.chance.randrange(index)]["name"])
            step["needs"] = sorted(set(needs))
            last[path] = step["name"]
        return steps

    def _manner(self) -> dict[str, Any]:
        """How the whole file is to be taken."""
        manner: dict[str, Any] = {}
        if self.chance.random() < 0.15:
            manner["on_failure"] = self.chance.choice(["stop", "hold"])
        if self.chance.random() < 0.1:
            manner["deadline"] = self.chance.choice(["1s", "3s"])
        if self.chance.random() < 0.05:
            manner["policy"] = {"approve": self.chance.choice(["start", "irreversible", "each"])}
        return manner

    # -- files -----------------------------------------------------------------------------------------------------

    def _mark(self, sent: Sent, step: str, place: Place, after: str | int | None) -> None:
        if place.kind == "file":
            sent.before.setdefault(place, content(Path(place.name)))
        sent.before.setdefault(place, 0)
        sent.marks.append(Mark(step, place, after))

    def _file(self, sent: Sent, name: str, verb: str, *, there: bool) -> Step:
        path = self.world.site / f"w{sent.number}" / name
        if there:
            path.write_text(f"before {sent.number}\n")
        text = None if verb == "delete" else f"saga {sent.number} {name}\n" * self.chance.choice((1, 1, 400))
        self._mark(sent, name, Place("file", str(path)), text)
        with_ = {"path": str(path)} | ({} if text is None else {"content": text})
        step: Step = {"name": name, "do": f"local.file.{verb}", "with": with_, "undo_retry": UNDO_RETRY}
        if self.chance.random() < 0.15:
            step["hooks"] = {"applied" if text else "deleted": self._hook(sent, name)}
        if self.chance.random() < 0.05:
            step["irreversible"] = True
        return step

    def _create(self, sent: Sent, name: str) -> Step:
        return self._file(sent, name, "create", there=False)

    def _update(self, sent: Sent, name: str) -> Step:
        return self._file(sent, name, "update", there=True)

    def _delete(self, sent: Sent, name: str) -> Step:
        return self._file(sent, name, "delete", there=True)

    def _put(self, sent: Sent, name: str) -> Step:
        return self._file(sent, name, "put", there=self.chance.random() < 0.5)

    def _chain(self, sent: Sent, name: str) -> Step:
        """Change what an earlier step has written."""
        files = [mark for mark in sent.marks if mark.place.kind == "file" and mark.after]
        if not files:
            return self._create(sent, name)
        path, text = files[-1].place.name, f"again {sent.number} {name}\n"
        sent.marks.append(Mark(name, files[-1].place, text))
        with_ = {"path": path, "content": text}
        return {"name": name, "do": "local.file.put", "with": with_, "undo_retry": UNDO_RETRY}

    def _shared(self, sent: Sent, name: str) -> Step:
        """Write a file that others write too. What it says tells whose it is."""
        path = self.world.shared / f"f{self.chance.randrange(SHARED)}"
        with_ = {"path": str(path), "content": f"{sent.kind} {name}\n"}
        return {"name": name, "do": "local.file.put", "with": with_, "undo_retry": UNDO_RETRY}

    # -- commands --------------------------------------------------------------------------------------------------

    def _append(self, sent: Sent, what: str, *, check: bool) -> dict[str, Any]:
        pauses = [f"{self.chance.uniform(0, 0.1):.3f}" for _ in range(2)]
        argv = ["sh", "-c", APPEND, "sh", f"{sent.kind}/{what}", str(self.world.log), *pauses]
        asked = ["sh", "-c", CHECK, "sh", f"{sent.kind}/{what}", str(self.world.log)]
        return {"do": "command.run", "with": {"argv": argv} | ({"check": asked} if check else {})}

    def _line(self, sent: Sent, step: str, *, check: bool) -> Step:
        self._mark(sent, step, Place("line", f"{sent.kind}/{step}"), 1)
        return {"name": step, **self._append(sent, step, check=check), "undo": "none"}

    def _command(self, sent: Sent, name: str) -> Step:
        """A line that nobody can find out about but an operator."""
        return self._line(sent, name, check=False)

    def _asked(self, sent: Sent, name: str) -> Step:
        """A line that the command's own check finds, and whose undo writes another."""
        step = self._line(sent, name, check=True)
        return {**step, "undo": self._append(sent, f"{name}-undo", check=True), "undo_retry": UNDO_RETRY}

    def _hook(self, sent: Sent, name: str) -> dict[str, Any]:
        if self.chance.random() < 0.2:
            return {"do": "test.fail", "with": {"kind": "error"}}
        return self._append(sent, f"{name}-hook", check=True)

    # -- the cloud -------------------------------------------------------------------------------------------------

    def _object(self, sent: Sent, step: str, kind: str, with_: dict[str, Any]) -> Step:
        name = f"{sent.kind}-{step}"
        kinds = {"domain_record": "record"}
        self._mark(sent, step, Place("cloud", f"{kinds.get(kind, kind)}/{name}"), 1)
        operation = f"digitalocean.{kind}.create"
        with_ = {"name": name, **with_}
        return {"name": step, "do": operation, "with": with_, "retry": RETRY, "undo_retry": UNDO_RETRY}

    def _record(self, sent: Sent, name: str) -> Step:
        return self._object(
            sent, name, "domain_record", {"domain": DOMAIN, "type": "A", "data": "192.0.2.7", "ttl": 300}
        )

    def _firewall(self, sent: Sent, name: str) -> Step:
        return self._object(sent, name, "firewall", {"inbound_rules": RULES})

    def _volume(self, sent: Sent, name: str) -> Step:
        return self._object(sent, name, "volume", {"size_gigabytes": 10, "region": "nyc3"})

    def _droplets(self, sent: Sent, name: str) -> Step:
        return self._object(
            sent, name, "droplet", {"size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3"}
        )

    # -- what changes nothing --------------------------------------------------------------------------------------

    def _quiet(self, sent: Sent, name: str) -> Step:
        do, key = self.chance.choice([("test.sleep", "duration"), ("wait.timer", "duration")])
        return {"name": name, "do": do, "with": {key: self.chance.choice(["20ms", "200ms", "1s", "4s"])}}

    def _trips(self, sent: Sent, name: str) -> Step:
        """Fail in some way, twice or for good."""
        kind = self.chance.choice(["transient", "partial", "compensated", "raise", "unknown"])
        with_ = {"kind": kind, **({"times": 2} if kind == "transient" else {})}
        return {"name": name, "do": "test.fail", "with": with_, "retry": RETRY}
