"""Whether the secrets are there that sagas and drivers will ask for, and for nobody else to read."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from config.settings import Settings
from orchestrator.answers import Examination
from orchestrator.doctor.findings import fail, ok, warn
from store.errors import SecretUnusable
from store.secrets import Secrets

_NAMED = re.compile(rb"\$\{secret\.([A-Za-z0-9_][A-Za-z0-9_-]*)\}")
_LIVE = (
    "SELECT s.id, p.body FROM sagas AS s JOIN plans AS p ON p.digest = s.plan"
    " WHERE s.status IN ('pending', 'running', 'compensating')"
)


def look_at_secrets(
    settings: Settings, folders: Sequence[Path], secrets: Secrets, db: sqlite3.Connection | None
) -> Iterator[Examination]:
    """Look at the folders, and at each secret that the settings or a live saga names."""
    loose = [path for folder in folders for path in _readable(folder)]
    if loose:
        said = ", ".join(map(str, loose))
        yield fail("secrets", f"others may read {said}", "chmod 0600 on each, 0700 on the folder")
    gone = [folder for folder in folders if not folder.is_dir()]
    for folder in gone:
        yield fail("secrets", f"{folder} is not there", "make it, or change [secrets] dir")
    named = dict(_of_settings(settings)) | (dict(_of_sagas(db)) if db is not None else {})
    bad = [problem for name, by in named.items() if (problem := _problem(secrets, name, by))]
    for problem in bad:
        yield warn("credentials", *problem)
    if not (loose or gone or bad):
        where = ", ".join(map(str, folders)) or "no folder is set"
        yield ok("secrets", f"{where}; all that are named are there, in number: {len(named)}")


def _readable(folder: Path) -> Iterator[Path]:
    """Give what others may read. systemd lets a service read its credentials by an ACL, which shows as the group's bit."""
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    wrong = 0o037 if given is not None and folder == Path(given) else 0o077
    if not folder.is_dir() or not stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return
    for path in folder.iterdir():
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & wrong:
            yield path


def _of_settings(settings: Settings) -> Iterator[tuple[str, str]]:
    for name in (settings.providers.digitalocean.token, settings.providers.digitalocean.read_token):
        if name is not None:
            yield name, "[providers.digitalocean]"


def _of_sagas(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    for saga, body in db.execute(_LIVE):
        for name in _NAMED.findall(body):
            yield name.decode(), f"saga {saga}"


def _problem(secrets: Secrets, name: str, by: str) -> tuple[str, str] | None:
    try:
        secrets.get(name)
    except SecretUnusable as error:
        return f"{by} needs secret `{name}`: {error.detail}", error.remedy
    return None
