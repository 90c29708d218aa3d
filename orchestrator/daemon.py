"""sagad: the parts put together, started in order, and stopped so that nothing is lost.

Exit codes: 0 stopped as told; 1 cannot run now (another sagad, the socket); 78 cannot run until somebody has acted (bad
settings, a damaged or newer database): systemd does not start it again then.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio

from config.problems import SettingsError
from config.settings import Settings, load
from orchestrator import VERSION
from orchestrator.notify import Notifier, listen_sockets, watchdog_interval
from orchestrator.parts import Parts, parts

EX_CONFIG = 78
STATUS = 10.0
"""Seconds between two status texts."""
STOPPING = 20_000
"""Milliseconds that stopping may take beyond `shutdown_grace`."""
YOUNG = 50_000
"""Objects made and not yet gone between two collections of garbage."""


def main(argv: list[str] | None = None) -> None:
    """Run the daemon."""
    gc.disable()  # nothing that is imported from here on is garbage; see _collect_rarely
    # structlog draws tracebacks with rich where there is one. The daemon draws none, and this is 5 MB and 30 ms. So
    # structlog is imported after this line only, here and in everything that is imported further down.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    arguments = _arguments(argv)
    faulthandler.enable()
    _leave_no_core()
    try:
        settings = _settings(arguments)
    except SettingsError as error:
        for problem in error.problems:
            hint = f" ({problem.hint})" if problem.hint else ""
            _say(f"{problem.where}: {problem.problem}{hint}")
        sys.exit(EX_CONFIG)
    if arguments.check:
        _say("the settings are fine")
        return
    from orchestrator import logs

    logs.configure(settings.daemon.log_level)
    _import_aiohttp()
    sys.exit(_run(settings, arguments))


def _import_aiohttp() -> None:
    """Import it without its reading all of the machine's certificates: 2 MB, and a tenth of the start.

    It does so for connections that nobody has given a context. Ours are given one (``providers.session``).
    """
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        import aiohttp.connector  # noqa: F401
    finally:
        for name in names:
            del os.environ[name]
        os.environ.update(kept)


def _leave_no_core() -> None:
    """Have nothing of the memory, nor of the environment, lie on the disk after a crash: secrets may be in both.

    A limit of 0 does not hold where a program is handed the core (core(5)); what goes into a core does. Commands have
    these too; a limit they may raise. Under the unit LimitCORE= has done it, and nobody may change limits.
    """
    import resource

    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    with suppress(OSError):
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sagad",
        description="Run changes to infrastructure as sagas: every change taken back or carried on, never doubled.",
        epilog="sagactl talks to it. Settings: see sagad.toml; every key can also be SAGAD_SECTION__KEY.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the settings file")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where the database and the blobs are")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="where to listen")
    parser.add_argument("--version", action="version", version=f"sagad {VERSION}")
    parser.add_argument("--check", action="store_true", help="check the settings and exit")
    return parser.parse_args(argv)


def _settings(arguments: argparse.Namespace) -> Settings:
    return load(arguments.config, os.environ, state_dir=arguments.state_dir, socket=arguments.socket)


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run until stopped; errors of the place are told in a line or two, with what to do."""
    import uvloop

    from orchestrator.problems import Problem
    from store.errors import StoreError

    code = 0
    try:
        uvloop.run(serve(settings, arguments))
    except* (StoreError, OSError, Problem) as group:
        for error in _leaves(group):
            _say(_told(error))
            code = EX_CONFIG if getattr(error, "lasting", False) else code or 1
    return code


def _say(line: str) -> None:
    print(f"sagad: {line}", file=sys.stderr)  # noqa: T201  before there is a log, and for whoever started it by hand


def _told(error: BaseException) -> str:
    """Say what is wrong with which file: an OSError by itself names neither what it is for nor what to do."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}: sagad needs it; see what it is and whose it is"
    return str(error)


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def logger() -> Any:
    """Give the daemon's own log."""
    import structlog

    return structlog.get_logger("sagad")


async def serve(settings: Settings, arguments: argparse.Namespace) -> None:
    """Start everything, be there until told to stop, and stop everything."""
    notifier = Notifier.from_environ(os.environ)
    watchdog = watchdog_interval(os.environ)
    sockets = listen_sockets(os.environ)
    log = logger()
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with parts(settings, lambda: _settings(arguments), _beat(notifier, watchdog)) as made:
            from actors.pulse import Pulse
            from orchestrator.api import serve as serve_api

            server = await serve_api(
                made.service,
                sockets=sockets,
                path=None if sockets else settings.daemon.socket,
                mode=settings.daemon.socket_mode,
            )
            _collect_rarely()
            made.service.ready = True
            made.start()
            log.info("ready", socket=str(settings.daemon.socket), version=made.service.version)
            notifier.ready()
            made.tasks.start_soon(_tell_status, made, notifier)
            try:
                with Pulse():
                    async for number in signals:
                        if number != signal.SIGHUP:
                            break
                        notifier.reloading()
                        await _reload(made, log)
                        notifier.ready()
            finally:
                notifier.stopping()
                grace = made.service.settings.daemon.shutdown_grace
                notifier.extend_timeout((grace + STOPPING) * 1000)
                log.info("stopping")
                made.service.ready = False
                await made.drain(grace)
                await server.close(1.0)


def _collect_rarely() -> None:
    """Have the garbage collector look at what is new only, and seldom.

    A saga makes hundreds of objects that are gone with it by their reference counts; looking through them for cycles
    (and, with each full collection, through all that was imported) took a fifth of the loop's time. What the daemon
    holds from here on is small: a collection every 50,000 objects is some 5 MB late at most.
    """
    gc.enable()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)


async def _tell_status(made: Parts, notifier: Notifier) -> None:
    """Keep `systemctl status` true."""
    while True:
        counts = await made.service.counts()
        held = sum(number for (_, hold), number in counts.sagas.items() if hold is not None)
        notifier.status(f"{counts.actors} sagas in flight, {held} on hold")
        await anyio.sleep(STATUS)


async def _reload(made: Parts, log: Any) -> None:
    try:
        done = made.reload()
        log.info("reloaded", changed=done.changed, needs_restart=done.needs_restart)
    except SettingsError as error:
        log.warning("reload.refused", problems=[f"{p.where}: {p.problem}" for p in error.problems])


def _beat(notifier: Notifier, interval: float | None) -> Any:
    """Give what the loop that does the work calls on each turn: the watchdog hears of it, not too often."""
    last = [0.0]

    def beat() -> None:
        now = anyio.current_time()
        if interval is not None and now - last[0] >= interval / 2:
            last[0] = now
            notifier.watchdog()

    return beat


if __name__ == "__main__":
    main()
