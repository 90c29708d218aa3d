from __future__ import annotations

import subprocess
import sys

import pytest

from orchestrator.metrics import TEXT, Counts, Distribution, render
from tests.api.standin import NO_COUNTS

COUNTS = Counts(
    version="1.2.3",
    ready=True,
    draining=False,
    storage_full=True,
    sagas={("running", None): 3, ("running", "paused"): 1},
    actors=2,
    restarts=4,
    quarantined=5,
    last_seq=17,
    providers={"digitalocean": ("open", 5), "another": ("half_open", 7)},
    groups=Distribution((1, 10), (2, 3, 1), 40),
    commits=Distribution((0.001, 0.01), (5, 0, 1), 0.25),
)


@pytest.mark.parametrize(
    "line",
    [
        'sagad_info{version="1.2.3"} 1.0',
        'sagad_sagas{hold="",status="running"} 3.0',
        'sagad_sagas{hold="paused",status="running"} 1.0',
        "sagad_ready 1.0",
        "sagad_draining 0.0",
        "sagad_storage_full 1.0",
        "sagad_actors 2.0",
        "sagad_actor_restarts_total 4.0",
        "sagad_quarantined 5.0",
        "sagad_events_total 17.0",
        'sagad_provider_circuit{provider="digitalocean"} 1.0',
        'sagad_provider_circuit{provider="another"} 0.5',
        'sagad_provider_failures{provider="digitalocean"} 5.0',
        'sagad_commit_transitions_bucket{le="1"} 2.0',
        'sagad_commit_transitions_bucket{le="10"} 5.0',
        'sagad_commit_transitions_bucket{le="+Inf"} 6.0',
        "sagad_commit_transitions_sum 40.0",
        'sagad_commit_seconds_bucket{le="0.01"} 5.0',
        "sagad_commit_seconds_count 6.0",
        "sagad_commit_seconds_sum 0.25",
    ],
)
def test_each_count_is_a_line(line: str) -> None:
    """Each count is a line."""
    assert line in render(COUNTS).decode().splitlines()


def test_prometheus_reads_it() -> None:
    """Prometheus reads it."""
    from prometheus_client.parser import text_string_to_metric_families

    families = {
        family.name: family.type for family in text_string_to_metric_families(render(COUNTS).decode())
    }

    assert families["sagad_actor_restarts"] == "counter"
    assert families["sagad_commit_seconds"] == "histogram"
    assert all(name.startswith("sagad") for name in families)


def test_the_media_type_is_that_of_what_is_written() -> None:
    """The media type is that of what is written."""
    from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

    assert TEXT == CONTENT_TYPE_PLAIN_0_0_4


def test_what_is_not_measured_is_not_shown() -> None:
    """What is not measured is not shown."""
    assert b"commit" not in render(NO_COUNTS)


@pytest.mark.slow
def test_the_api_loads_no_prometheus_before_it_is_asked_to() -> None:
    """It takes 12 MB, and most nodes are never scraped."""
    script = (
        "import sys, orchestrator.api;"
        "print([name for name in ('prometheus_client', 'orchestrator.api.openapi') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "[]"
