"""The daemon's parts: made from the settings in order, and taken apart in the opposite one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from config.paths import secret_folders
from config.settings import Settings

if TYPE_CHECKING:
    from actors.clock import Clock
    from orchestrator.answers import Reloaded
    from providers.contract import Blobs
    from providers.registry import Registry
    from store.node import StateFolder
    from store.queries import Readers
    from store.runner import Runner


class Ground:
    """What the daemon stands on: clock, disk, threads, chance and drivers. A simulation lays another one."""

    disk = ""
    """What goes into SQLite's URI."""
    reserve = 16 << 20
    """Bytes kept for the day when the disk is full."""

    def clock(self) -> Clock:
        """Give the clock that the daemon goes by."""
        from actors.clock import WallClock

        return WallClock()

    def folder(self, path: Path, key_file: Path | None) -> StateFolder:
        """Take the state folder. Raises what ``StateFolder.open`` raises."""
        from store.node import StateFolder

        return StateFolder.open(path, key_file)

    def sync(self, path: Path) -> None:
        """Make a file durable, with its name. Raises OSError."""
        from store.node import sync_file

        sync_file(path)

    def runner(self) -> Runner:
        """Give the place where the journal waits for the disk."""
        from store.runner import Thread

        return Thread()

    def readers(self) -> Readers:
        """Give what opens the connections that questions are asked on."""
        from store.queries import Readers

        return Readers()

    def random_bytes(self, count: int) -> bytes:
        """Give so many random bytes."""
        return os.urandom(count)

    def drivers(self, settings: Settings, secrets: Any, blobs: Blobs) -> Registry:
        """Load the drivers."""
        from providers import registry

        tables = _provider_settings(settings, secrets)
        return registry.load(tables, blobs, configured=_configured(settings))


class Parts:
    """The daemon's parts."""

    def __init__(self, **parts: Any) -> None:
        """Keep them by name."""
        self.service = parts["service"]
        self.host = parts["host"]
        self.directory = parts["directory"]
        self._watchman = parts["watchman"]
        self.tasks = parts["tasks"]
        self.reload = parts["reload"]

    def start(self) -> None:
        """Begin to wake what was in flight and what is due."""
        self.tasks.start_soon(self._watchman.run)
        self.tasks.start_soon(self.service.keep.tend)
        self.tasks.start_soon(self.service.drift_timer.run)

    async def drain(self, grace: int) -> None:
        """Start nothing new and let what runs end, for so many milliseconds."""
        self.host.draining = True
        with anyio.move_on_after(grace / 1000):
            await self.directory.wait_calm()


@asynccontextmanager
async def parts(
    settings: Settings, read: Callable[[], Settings], beat: Callable[[], None], ground: Ground | None = None
) -> AsyncIterator[Parts]:
    """Make the parts from the settings, in order, and take them apart again. ``read`` reads the settings anew."""
    from actors.directory import Directory
    from actors.saga.calls import Calls
    from actors.saga.contents import Contents
    from actors.saga.host import Host
    from actors.supervisor import Supervisor
    from actors.timers import Watchman
    from orchestrator import logs
    from orchestrator.keep import Keep
    from orchestrator.service import Service
    from store.blobs import Blobs
    from store.journal import Journal
    from store.queries import Queries
    from store.secrets import Secrets

    ground = ground or Ground()
    clock = ground.clock()
    async with AsyncExitStack() as opened:
        # Whatever fails on the way, what was opened is closed, last first: a thread left over would keep the process.
        folder = opened.enter_context(ground.folder(settings.daemon.state_dir, settings.secrets.key_file))
        runner = ground.runner()
        try:
            journal = Journal.open(
                folder.database,
                folder.node_key,
                runner,
                reserve=ground.reserve,
                options=ground.disk,
                sync=ground.sync,
            )
        except BaseException:
            runner.close()
            raise
        opened.push_async_callback(_shielded, journal.close)
        queries = await Queries.open(folder.database, options=ground.disk, readers=ground.readers())
        opened.push_async_callback(_shielded, queries.close)
        secrets = Secrets(
            secret_folders(settings.secrets.dir, os.environ),
            folder.node_key,
            database=None if ground.disk else folder.database,
            key_file=settings.secrets.key_file,
        )
        blobs = Blobs(folder.blobs, folder.node_key, secrets.redact_bytes, secrets.reveal_bytes)
        registry = ground.drivers(settings, secrets, Contents(blobs))
        opened.push_async_callback(_shielded, registry.close)
        host = Host(
            journal=journal,
            queries=queries,
            calls=Calls(registry, secrets, clock),
            clock=clock,
            passivate=settings.limits.wait_passivate,
            beat=beat,
            log_events=logs.events,
        )
        directory = Directory(
            host, Supervisor(settings.supervisor, clock.now), settings.limits.sagas_in_flight
        )
        reload = _Reload(read, settings, host, directory, registry)
        reload.secrets = secrets
        service = Service(
            host=host,
            directory=directory,
            registry=registry,
            settings=settings,
            node_key=folder.node_key,
            blobs=blobs,
            reload=reload,
            random_bytes=ground.random_bytes,
        )
        reload.service = service
        service.keep = Keep(service, host, directory, folder, blobs, read)
        async with anyio.create_task_group() as tasks:
            await tasks.start(directory.run)
            with _damage_told(folder.database):
                await directory.restore_locks()
            yield Parts(
                service=service,
                host=host,
                directory=directory,
                watchman=Watchman(host, directory),
                tasks=tasks,
                reload=reload,
            )
            tasks.cancel_scope.cancel()


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Say of a page that cannot be read what is said of it at the start."""
    import sqlite3

    from store.errors import DatabaseDamaged

    try:
        yield
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise DatabaseDamaged(path, str(error)) from error


async def _shielded(close: Callable[[], Awaitable[None]]) -> None:
    with anyio.CancelScope(shield=True):
        await close()


def _configured(settings: Settings) -> dict[str, str]:
    """Name the drivers of the providers that load when they are configured."""
    from providers import digitalocean

    return digitalocean.TYPES if settings.providers.digitalocean.token is not None else {}


def _provider_settings(settings: Settings, secrets: Any) -> dict[str, dict[str, Any]]:
    """Give each provider its table, as its drivers take it.

    ``secret`` gives a secret's value by its name, at each call anew; ``shared`` is for what the types of one provider
    share, such as connections.
    """
    providers = settings.providers
    return {
        "local": {
            "roots": [str(root) for root in providers.local.roots],
            # Whatever the roots: the node's key, the record and the secrets are no saga's to read or change.
            "closed": [
                str(settings.daemon.state_dir),
                *map(str, secret_folders(settings.secrets.dir, os.environ)),
            ],
        },
        "command": {"allow": list(providers.command.allow)},
        "http": {"allow": list(providers.http.allow)},
        "digitalocean": {
            **msgspec.structs.asdict(providers.digitalocean),
            "secret": secrets.get,
            "shared": {},
        },
        **providers.others,
    }


_AT_START = {
    "daemon": ("state_dir", "socket", "socket_mode"),
    "secrets": ("dir", "key_file"),
}
"""What counts from the next start on only: until then it stays as it was."""


class _Reload:
    """Reads the settings again; what can change while the daemon runs, changes."""

    def __init__(
        self, read: Callable[[], Settings], settings: Settings, host: Any, directory: Any, registry: Any
    ) -> None:
        self._read = read
        self._first = self._settings = settings
        self._host = host
        self._directory = directory
        self._registry = registry
        self.service: Any = None
        self.secrets: Any = None

    def __call__(self) -> Reloaded:
        """Settle in what can change. Raises SettingsError, and then nothing has changed."""
        from orchestrator import logs
        from orchestrator.answers import Reloaded

        new, needs_restart = self._now(self._read())
        old, self._settings = self._settings, new
        changed = [name for name in new.__struct_fields__ if getattr(new, name) != getattr(old, name)]
        logs.configure(new.daemon.log_level)
        self._host.passivate = new.limits.wait_passivate
        self._directory.in_flight = new.limits.sagas_in_flight
        self._directory.supervisor.limits = new.supervisor
        tables = _provider_settings(new, self.secrets)
        for type_, driver in self._registry.drivers.items():
            driver.settle_in(tables.get(type_.partition(".")[0], {}))
        self.service.settle_in(new)
        return Reloaded(changed=changed, needs_restart=needs_restart)

    def _now(self, new: Settings) -> tuple[Settings, list[str]]:
        """Give the settings that count from now on, and what of the new ones does not."""
        needs_restart, first = list[str](), self._first
        for section, keys in _AT_START.items():
            table, before = getattr(new, section), getattr(first, section)
            kept = {key: getattr(before, key) for key in keys}
            needs_restart += [f"[{section}] {key}" for key in keys if getattr(table, key) != kept[key]]
            new = msgspec.structs.replace(new, **{section: msgspec.structs.replace(table, **kept)})
        # Its drivers are loaded where there is a token; which one it is they look at each time.
        cloud = new.providers.digitalocean, first.providers.digitalocean
        if (cloud[0].token is None) != (cloud[1].token is None):
            needs_restart.append("[providers.digitalocean] token")
        return new, needs_restart
