"""A DigitalOcean on loopback: state, time by a clock of its own, faults on request, every exchange held to the contract.

In a test of a driver::

    async with FakeDigitalOcean() as fake:
        fake.lose(after=True, method="POST", path="/v2/droplets/*/actions")
        ...  # the driver, with base_url=fake.url and token=fake.token
        fake.clock.advance(30)
        assert fake.objects("snapshot") == []

For a client in another process, or one that blocks: ``with FakeDigitalOcean().in_thread() as fake``. On leaving, what
was against the contract is raised as `Violated`.
"""

from tests.fakes.digitalocean.clock import Clock
from tests.fakes.digitalocean.contract import Violated
from tests.fakes.digitalocean.fake import FakeDigitalOcean
from tests.fakes.digitalocean.lags import Lags

__all__ = ["Clock", "FakeDigitalOcean", "Lags", "Violated"]
