"""A run: rounds of storm, calm and judgement, until the time is up."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.daemon import ENDED, Unreachable
from tests.torture.blows import Tormentor
from tests.torture.book import Book
from tests.torture.cloud import DOMAIN, Cloud
from tests.torture.laws import Laws
from tests.torture.load import Load, Worker
from tests.torture.node import Node, children_of
from tests.torture.operators import CARER, MEDDLER, Operator
from tests.torture.ordeals import Ordeal, Skipped
from tests.torture.sagas import Author
from tests.torture.stacks import Stack
from tests.torture.world import World

PATIENCE = 120.0
"""Seconds in which everything has come to an end once nobody strikes any more."""
SETTINGS = """
[secrets]
dir = "{secrets}"
[limits]
wait_passivate = "100ms"
[supervisor]
max_restarts = 50
[providers.digitalocean]
token = "do-token"
base_url = "{url}"
poll = "50ms"
settle = "2s"
rate = "1000000/1m"
parallel = 64
"""


class Run:
    """One run in a folder of its own, which is left for looking at where a law was broken."""

    def __init__(self, folder: Path, seed: int, book: Book, *, in_flight: int = 300) -> None:
        """Prepare."""
        self.folder = folder
        self.chance = random.Random(seed)
        self.book = book
        self.in_flight = in_flight

    def round(
        self, number: int, kind: type[Ordeal], seconds: float, then: Callable[[Round], None] = lambda _: None
    ) -> bool:
        """Do one round, and judge it; False: it cannot be done here. ``then`` may look while the daemon still runs."""
        self.book.turn()
        folder = self.folder / f"{number:03d}"
        folder.mkdir(parents=True)
        before = len(self.book.violations)
        ordeal = kind(self.chance, self.book)
        with Cloud(self.chance).in_thread() as cloud:
            node = Node(folder, _settings(folder, cloud), self.book)
            try:
                ordeal.begin(node)
                Round(self, folder, node, cloud, ordeal).go(seconds, then)
            except Skipped as reason:
                self.book.count(f"skipped {kind.name}")
                print(f"round {number}: {kind.name} skipped: {reason}", flush=True)
                node.deaf()
                shutil.rmtree(folder)
                return False
            ordeal.clean(node)
            node.deaf()
            self.book.count(f"rounds of {kind.name}")
            for name, count in cloud.struck().items():
                self.book.count(f"cloud: {name}", count)
        if len(self.book.violations) == before:
            shutil.rmtree(folder)
        return True


def _settings(folder: Path, cloud: Cloud) -> str:
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "do-token").write_text(cloud.token)
    _make_domain(cloud)
    return SETTINGS.format(secrets=secrets, url=cloud.url)


def _make_domain(cloud: Cloud) -> None:
    with cloud.cloud.lock:
        cloud.cloud.add("domain", DOMAIN, {"name": DOMAIN, "ttl": 1800, "zone_file": ""})


class Round:
    """Storm, calm, judgement."""

    def __init__(self, run: Run, folder: Path, node: Node, cloud: Cloud, ordeal: Ordeal) -> None:
        """Put together who takes part."""
        self._run, self._folder, self.node, self._cloud, self._ordeal = run, folder, node, cloud, ordeal
        self._book = run.book

        def chance() -> random.Random:
            return random.Random(run.chance.random())

        self.world = World(folder, cloud)
        self._author = Author(chance(), self.world)
        self._operator = Operator(chance(), node, self.world, self._book, MEDDLER)
        self._carer = Operator(chance(), node, self.world, self._book, CARER)
        self._load = Load(chance(), node, self._author, self._operator, self._book)
        self._load.stacks = [
            Stack(f"stack{n}", self.world.site / f"stack{n}", chance(), node, self._book) for n in range(4)
        ]
        self._tormentor = Tormentor(chance(), node, self._book)

    def go(self, seconds: float, then: Callable[[Round], None]) -> None:
        """Do it all."""
        self.node.up()
        try:
            self._storm(seconds)
            self._calm()
            for stack in self._load.stacks:
                stack.finish()
            self.judge(self._book)
            then(self)
        except (OSError, TimeoutError, Unreachable) as error:
            self._book.wrong(f"the round broke off: {error!r}; sagad's log: {self.node.log}")
        finally:
            self._end()

    def judge(self, book: Book) -> None:
        """Hold the laws; what is broken goes into this book."""
        Laws(self.node, self.world, book).hold()

    def _storm(self, seconds: float) -> None:
        self._cloud.trouble()
        workers = [
            Worker("submitter", lambda: self._load.submit(self._run.in_flight), self._book),
            Worker("meddler", self._load.meddle, self._book),
            Worker("carer", self._care, self._book),
        ]
        threads: list[Worker | Tormentor] = [*workers]
        if self._ordeal.strikes:
            threads.append(self._tormentor)
        end = time.monotonic() + seconds
        workers[0].start()
        while self._load.in_flight < self._run.in_flight and time.monotonic() < end - 0.7 * seconds:
            time.sleep(0.1)
        for each in threads[1:]:
            each.start()
        while time.monotonic() < end:
            self._ordeal.strike(self.node)
        for each in reversed(threads):
            each.leave_off()
        self._book.most("sagas in flight at most", self._load.most)
        self._ordeal.end(self.node)

    def _calm(self) -> None:
        """Nobody strikes any more: all must end, by itself or by an operator's word."""
        self._cloud.calm()
        self._load.settle()
        end = time.monotonic() + PATIENCE
        # Between two of the sagas that take it back a batch on its way back has none that is open.
        while (open_ := self._open()) or (batches := self._open_batches()):
            for document in open_:
                self._carer.care(document)
            if time.monotonic() > end:
                self._stuck(open_ or batches)
                return
            time.sleep(0.1)
        self._book.count("seconds of calm", int(time.monotonic() - end + PATIENCE))

    def _care(self) -> None:
        """Also in the storm somebody looks after what is held, now and then."""
        time.sleep(0.3)
        for document in self._open()[:20]:
            self._carer.care(document)

    def _open(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for status in ("pending", "running", "compensating"):
            found += self.node.all("/v1/sagas", "sagas", status=status)
        return found

    def _open_batches(self) -> list[dict[str, Any]]:
        """Give those that are at something: what holds one is asked of its sagas."""
        found = self.node.all("/v1/batches", "batches")
        return [each for each in found if each["status"] not in ENDED and each["hold"] is None]

    def _stuck(self, open_: list[dict[str, Any]]) -> None:
        for document in open_[:10]:
            why = self.node.tell("GET", f"/v1/sagas/{document['id']}/why")[1]
            self._book.wrong(f"saga {document['id']} has not ended in {PATIENCE:g} s: {why}")

    def _end(self) -> None:
        health = self.node.tell("GET", "/v1/health")[1] if self.node.alive else {"warnings": []}
        self._book.count("actors started again after a crash", health.get("restarts", 0))
        for warning in health["warnings"]:
            if "does not" in warning or "quarantined" in warning:
                self._book.wrong(f"health: {warning}")
        if self.node.alive:
            self.node.end()
        self._book.most("ms without a word to the watchdog at most", int(self.node.longest * 1000))
        if "\nTraceback" in self.node.log.read_text(errors="replace"):
            self._book.wrong(f"a traceback was shown: {self.node.log}")
        for pid in children_of(self._folder):
            self._book.wrong(f"process {pid} of a command outlived sagad")
        try:
            self.node.__exit__()
        except AssertionError as error:
            self._book.wrong(f"a checkpoint is not what its events say: {error}")


def run(folder: Path, seconds: float, seed: int, rounds: list[type[Ordeal]], each: float) -> Book:
    """Do rounds in turn until the time is up, each kind at least once where there is time; give the notes."""
    book = Book()
    doing = Run(folder, seed, book)
    end = time.monotonic() + seconds
    number = 0
    possible = list(rounds)
    while possible and time.monotonic() < end:
        kind = possible[number % len(possible)]
        number += 1
        began = time.monotonic()
        if not doing.round(number, kind, min(each, max(2.0, end - time.monotonic()))):
            possible = [other for other in possible if other is not kind]
            continue
        told = ", ".join(f"{book.counts[what]} {what}" for what in ("sagas", "kills", "stops"))
        print(
            f"round {number}: {kind.name}, {time.monotonic() - began:.0f} s; in all {told},"
            f" {len(book.violations)} violations",
            flush=True,
        )
    return book


def figures(book: Book, tell: Callable[[str], None]) -> None:
    """Tell the figures, in order of their names."""
    for name, count in sorted(book.counts.items()):
        tell(f"{count:>10,}  {name}")
    tell(f"{len(book.violations):>10,}  VIOLATIONS")


def seed_of(text: str | None) -> int:
    """Give the seed that was asked for, or one by chance."""
    return int(text) if text is not None else int.from_bytes(os.urandom(4))
