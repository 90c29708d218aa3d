"""The node's figures, for Prometheus. Light to import: what renders them is loaded with the first scrape.

prometheus_client takes 12 MB, which most nodes never need. The figures are not its objects but the service's own
counts, taken at each scrape, so nothing is counted twice and the daemon pays nothing between scrapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

TEXT = "text/plain; version=0.0.4; charset=utf-8"


POSITIONS = {"closed": 0.0, "half_open": 0.5, "open": 1.0}
"""A circuit's position as a number."""


class Distribution(msgspec.Struct, frozen=True):
    """How often each size has been seen: `counts[i]` up to `bounds[i]`, the last one beyond all bounds."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    """Each by itself, not summed up; one more than bounds."""
    total: float
    """The sum of all that was seen."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted of a node."""

    version: str
    ready: bool
    draining: bool
    storage_full: bool
    sagas: Mapping[tuple[str, str | None], int]
    """How many by (status, hold)."""
    actors: int
    """Sagas in memory."""
    restarts: int
    """Actors that crashed and were started again."""
    quarantined: int
    last_seq: int
    """The journal's last number: how many events it has had."""
    providers: Mapping[str, tuple[str, int]] = {}
    """By the service's name: its circuit's position, and how often it has failed since its last answer."""
    groups: Distribution | None = None
    """Transitions per commit."""
    commits: Distribution | None = None
    """Seconds per commit."""


def render(counts: Counts) -> bytes:
    """Write the figures as Prometheus reads them."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(counts))
    return generate_latest(registry)


class _Collector:
    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Any]:
        yield from _gauges(self._counts)
        yield from _counters(self._counts)
        yield from _distributions(self._counts)


def _gauges(counts: Counts) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("sagad", "This daemon.", value={"version": counts.version})
    sagas = GaugeMetricFamily(
        "sagad_sagas", "Sagas on record, by status and hold.", labels=["status", "hold"]
    )
    for (status, hold), number in counts.sagas.items():
        sagas.add_metric([status, hold or ""], number)
    yield sagas
    for name, text, value in (
        ("sagad_ready", "1 once requests are answered.", counts.ready),
        ("sagad_draining", "1 while no new steps are started.", counts.draining),
        ("sagad_storage_full", "1 while there is no room to write.", counts.storage_full),
        ("sagad_actors", "Sagas in memory.", counts.actors),
        ("sagad_quarantined", "Sagas whose actors crashed too often.", counts.quarantined),
    ):
        yield GaugeMetricFamily(name, text, value=value)
    yield from _circuits(counts.providers)


def _circuits(providers: Mapping[str, tuple[str, int]]) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    circuits = GaugeMetricFamily(
        "sagad_provider_circuit",
        "0 while the provider is asked (closed), 1 while it is not (open), 0.5 while one call finds out (half open).",
        labels=["provider"],
    )
    failures = GaugeMetricFamily(
        "sagad_provider_failures", "Failures since the provider's last answer.", labels=["provider"]
    )
    for name, (position, failed) in providers.items():
        circuits.add_metric([name], POSITIONS[position])
        failures.add_metric([name], failed)
    yield circuits
    yield failures


def _counters(counts: Counts) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily

    yield CounterMetricFamily("sagad_actor_restarts", "Actors started again.", value=counts.restarts)
    yield CounterMetricFamily("sagad_events", "Events in the journal.", value=counts.last_seq)


def _distributions(counts: Counts) -> Iterator[Any]:
    from prometheus_client.core import HistogramMetricFamily

    for name, text, seen in (
        ("sagad_commit_transitions", "Transitions in one commit.", counts.groups),
        ("sagad_commit_seconds", "Seconds that a commit takes.", counts.commits),
    ):
        if seen is not None:
            yield HistogramMetricFamily(name, text, buckets=_buckets(seen), sum_value=seen.total)


def _buckets(seen: Distribution) -> list[tuple[str, float]]:
    """Prometheus wants each bucket with all those below it."""
    sums, so_far = [], 0
    for number in seen.counts:
        so_far += number
        sums.append(float(so_far))
    return list(zip([*map(str, seen.bounds), "+Inf"], sums, strict=True))
