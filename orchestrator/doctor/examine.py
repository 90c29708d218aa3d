"""All looks together: of the daemon at itself, and of sagactl where no daemon answers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from actors.clock import WallClock
from config.paths import secret_folders
from config.problems import SettingsError
from config.settings import Settings
from orchestrator.answers import Examination, Examined
from orchestrator.doctor.credentials import look_at_secrets
from orchestrator.doctor.disk import look_at_disk
from orchestrator.doctor.findings import fail, looked, ok, warn
from orchestrator.doctor.folder import look_at_folder, look_at_socket
from orchestrator.doctor.record import look_at_blobs, look_at_clock, look_at_record, look_through, open_apart
from store.blobs import Blobs
from store.errors import StoreError
from store.node import look_over, read_key
from store.secrets import Secrets


def examined(findings: Iterable[Examination]) -> Examined:
    """Put findings together."""
    checks = list(findings)
    return Examined(ok=all(each.status != "fail" for each in checks), checks=checks)


def look_at_settings(read: Callable[[], Settings] | None) -> Iterator[Examination]:
    """Read the settings again."""
    try:
        if read is not None:
            read()
        yield ok("settings", "they can be read")
    except SettingsError as error:
        for problem in error.problems:
            yield fail(
                "settings",
                f"{problem.where}: {problem.problem}",
                problem.hint or "mend it, then `sagactl reload`",
            )


class Patient:
    """A daemon, as it gives itself to be looked at."""

    def __init__(self, settings: Settings, node_key: bytes, secrets: Secrets, blobs: Blobs) -> None:
        self.settings = settings
        self.node_key = node_key
        self.secrets = secrets
        self.blobs = blobs

    def look(self, read: Callable[[], Settings] | None, db: sqlite3.Connection) -> list[Examination]:
        """Look at everything but what the loop knows; for a thread, with a connection of its own."""
        folder = self.settings.daemon.state_dir
        path = folder / "sagad.db"
        found = [*looked("settings", lambda: look_at_settings(read))]
        found += looked("state folder", lambda: look_at_folder(folder))
        found += looked("socket", lambda: look_at_socket(self.settings.daemon.socket))
        found += looked("disk", lambda: look_at_disk(folder))
        found += looked("clock", lambda: look_at_clock(db, WallClock().now()))
        found += looked("database", lambda: look_through(db, path, self.node_key))
        found += looked("blobs", lambda: look_at_blobs(folder / "blobs", self.blobs, db))
        folders = secret_folders(self.settings.secrets.dir, os.environ)
        found += looked("secrets", lambda: look_at_secrets(self.settings, folders, self.secrets, db))
        return found


def examine_apart(read: Callable[[], Settings]) -> Examined:
    """Look at a node whose daemon does not answer."""
    found = [*looked("settings", lambda: look_at_settings(read))]
    try:
        settings = read()
    except SettingsError:
        return examined(found)
    folder = settings.daemon.state_dir
    found += looked("state folder", lambda: look_at_folder(folder))
    found += looked("socket", lambda: look_at_socket(settings.daemon.socket))
    found += looked("disk", lambda: look_at_disk(folder))
    found += looked("database", lambda: _record(settings, folder))
    return examined(found)


def _record(settings: Settings, folder: Path) -> Iterator[Examination]:
    """Look at what is in the folder, as far as there is something."""
    path = folder / "sagad.db"
    try:
        look_over(folder)
    except StoreError as error:
        yield fail("files", f"{error.where}: {error.detail}", error.remedy)
        return
    if not path.exists():
        yield from look_at_clock(None, WallClock().now())
        yield warn(
            "database",
            f"there is none at {path}",
            "sagad makes it at its first start, or `sagactl restore FILE`; if it has run before, this is not its folder:"
            " give `--state-dir` or `--config`",
        )
        return
    try:
        key = read_key(folder, settings.secrets.key_file)
    except StoreError as error:
        yield fail("node.key", f"{error.where}: {error.detail or 'it is not there'}", error.remedy)
        return
    yield from look_at_record(path, key)
    with ExitStack() as opened:
        try:
            db = opened.enter_context(closing(open_apart(path, key)))
        except (StoreError, sqlite3.Error):
            return  # it has been said
        yield from look_at_clock(db, WallClock().now())
        if not (folder / "blobs").is_dir():
            yield ok("blobs", "there are none")
        else:
            yield from look_at_blobs(folder / "blobs", Blobs(folder / "blobs", key, tidy=False), db)
        folders = secret_folders(settings.secrets.dir, os.environ)
        yield from look_at_secrets(
            settings, folders, Secrets(folders, key, key_file=settings.secrets.key_file), db
        )
