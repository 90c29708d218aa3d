"""``backup`` and ``restore``: what is on record, taken away as one file and brought back from it."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from orchestrator.cli.failures import CONFLICT, DONE, NOT_ALLOWED, Failure, Misused, Refused, Unreachable
from orchestrator.cli.options import command
from orchestrator.cli.session import Session
from orchestrator.cli.text import count

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from store.backup import Manifest

_CHUNK = 1 << 18


@command(
    examples="sagactl backup /mnt/backups/sagad-$(date +%F).tar\nsagactl backup - | ssh vault 'cat > sagad.tar'"
)
@click.argument("file", metavar="FILE")
@click.option("-y", "--yes", is_flag=True, help="Replace the file where there is one.")
@click.pass_obj
def backup(session: Session, file: str, *, yes: bool) -> int:
    """Take all that is on record as one file.

    Blobs are in it too. The daemon works on meanwhile: the file is of one moment. It gets its name once all of it is there and has been
    checked. The node's key is not in it: keep that (node.key in the state folder) in another safe place, for without
    it no backup can be restored. Neither are the settings and the secrets folder.
    """
    if file == "-":
        return _to_stdout(session)
    path = Path(file)
    if path.exists() and not path.is_file():
        raise Misused(f"{path} is no file that could be replaced", "give a file; `-` is stdout")
    if path.exists() and path.stat().st_size:
        from orchestrator.cli.verbs import ask

        ask(f"Replace {path}?", yes=yes, needed=True)
    manifest = _to_file(session, path)
    _tell(session, path, manifest)
    return DONE


def _to_stdout(session: Session) -> int:
    if sys.stdout.isatty():
        raise Misused("a backup is no text for a terminal", "give a file, or a pipe")
    with _asked(session) as response:
        for chunk in _chunks(response):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return DONE


def _to_file(session: Session, path: Path) -> Manifest:
    from store.errors import StoreError
    from store.node import sync_folder
    from store.restore import check

    new = path.with_name(f".{path.name}.part")
    try:
        with _own(new) as file, _asked(session) as response:
            for chunk in _chunks(response):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            manifest = check(file, path)
            new.rename(path)
        sync_folder(path.parent)
        return manifest
    except BlockingIOError as error:
        what = f"another backup is being written to {path}"
        raise Failure(what, "wait for it, or give another file") from error
    except StoreError as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", "there is no new backup") from error


@contextmanager
def _own(new: Path) -> Iterator[IO[bytes]]:
    """Make a file for this backup alone, and remove it where it was not renamed. Raises BlockingIOError: it is another's.

    What a backup left that was killed is nobody's, and taken over.
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o600), "w+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(new, file):
                continue  # in that moment another has finished, and this was its file
            try:
                file.truncate()
                yield file
            finally:
                with suppress(OSError):
                    if _is_at(new, file):
                        new.unlink()
            return


def _is_at(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _asked(session: Session) -> HTTPResponse:
    response = session.client.open("POST", "/v1/backup", b"{}", timeout=None)
    if response.status >= 400:  # noqa: PLR2004 - HTTP's line between yes and no
        from orchestrator.cli.client import Answer

        with response:
            raise Refused(response.status, Answer(response.status, response.read()).document())
    return response


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    from http.client import HTTPException

    left = int(response.headers.get("Content-Length") or 0)
    try:
        while chunk := response.read(_CHUNK):
            left -= len(chunk)
            yield chunk
    except HTTPException as error:
        raise _cut_off() from error
    if left:
        raise _cut_off()


def _cut_off() -> Unreachable:
    return Unreachable(
        "the backup was cut off: it is not complete, and nothing was kept of it", "see the daemon's log"
    )


def _tell(session: Session, path: Path, manifest: Manifest) -> None:
    head = f"{manifest.seq}:{manifest.head}"
    if session.json:
        from msgspec import to_builtins

        session.document_of({"file": str(path), **to_builtins(manifest)})
    elif session.quiet:
        session.say(head)
    else:
        size = path.stat().st_size
        blobs = count(len(manifest.parts) - 1, "blob")
        session.say(f"{path}: {size:,} bytes, {blobs}, head {head}")
        session.note("note: the node's key is not in it; without node.key it cannot be restored")


# --- restoring ------------------------------------------------------------------------------------------------------


@command(
    examples="sudo -u sagad sagactl restore /mnt/backups/sagad.tar --state-dir /var/lib/sagad\nsagactl restore - < sagad.tar"
)
@click.argument("file", metavar="FILE")
@click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The state folder; else the settings say.",
)
@click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="The settings file.")
@click.pass_obj
def restore(session: Session, file: str, state_dir: Path | None, config: Path | None) -> int:
    """Bring a backup back, while the daemon is stopped.

    The state folder must have no database. Everything is checked first: each part's digest, every page, the whole chain, and by the node's key (node.key in
    the state folder) whose it is. Nothing is overwritten. Sagas that had not ended come back on hold, since what they
    did after the backup is not on record: `sagactl ls --hold attention` lists them, and each waits for `resume`,
    `cancel` or `abandon`.
    """
    folder, key_file = _state_dir(config, state_dir)
    if file == "-":
        return _restored(session, sys.stdin.buffer, "standard input", folder, key_file)
    try:
        with open(file, "rb") as source:  # noqa: PTH123 - what is typed is shown as it was typed
            return _restored(session, source, file, folder, key_file)
    except FileNotFoundError as error:
        if error.filename != file:
            raise
        raise Misused(f"{file}: there is no such file") from error


def _state_dir(config: Path | None, state_dir: Path | None) -> tuple[Path, Path | None]:
    """Give the state folder, and the key file where the settings name one: a folder that is given has its own."""
    from config.problems import SettingsError
    from config.settings import load

    if state_dir is not None:
        return state_dir.absolute(), None
    try:
        settings = load(config, os.environ)
    except SettingsError as error:
        raise Misused(
            "the settings cannot be used", *map(str, error.problems), "or give --state-dir"
        ) from error
    return settings.daemon.state_dir, settings.secrets.key_file


def _restored(session: Session, source: IO[bytes], where: str, folder: Path, key_file: Path | None) -> int:
    import pwd
    import sqlite3

    from orchestrator.restoring import restore as bring_back
    from store.errors import DatabaseThere, FolderInUse, FolderNotOurs, StoreError

    try:
        by = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        by = f"uid:{os.getuid()}"
    try:
        done = bring_back(source, where, folder, by, key_file)
    except (DatabaseThere, FolderInUse) as error:
        raise Failure(str(error), exit_code=CONFLICT) from error
    except FolderNotOurs as error:
        raise Failure(str(error), _as_owner(folder), exit_code=NOT_ALLOWED) from error
    except PermissionError as error:
        raise Failure(
            f"{error.filename}: {error.strerror}", _as_owner(folder), exit_code=NOT_ALLOWED
        ) from error
    except StoreError as error:
        raise Failure(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        raise Failure(f"the backup could not be put in place: {error}", "nothing was changed") from error
    _tell_restored(session, done)
    return DONE


def _as_owner(folder: Path) -> str:
    import pwd

    try:
        owner = pwd.getpwuid(folder.stat().st_uid).pw_name
    except (OSError, KeyError):
        return "run this as the user that sagad runs as"
    return f"run this as the user that sagad runs as: sudo -u {owner} sagactl restore ..."


def _tell_restored(session: Session, done: Any) -> None:
    if session.json:
        from msgspec import to_builtins

        session.document_of(to_builtins(done))
        return
    if session.quiet:
        for saga in done.held:
            session.say(saga)
        return
    session.say(
        f"{done.state_dir}: restored as of {done.made_at}, head {done.head}, {count(done.blobs, 'blob')}"
    )
    if done.held:
        session.note(
            f"{count(len(done.held), 'saga')} on hold until somebody has looked: start sagad, then "
            "`sagactl ls --hold attention`"
        )
