"""Secrets: one file each, read when a driver is called, and kept out of everything that is written down (SPEC §2).

A value that comes back (in an output, an error's text, the content of a file) is replaced by its reference. It is looked
for as it is and as it commonly travels: in JSON, in a URL, in base64 (also in the middle of a longer base64 text, as in
a Basic authorization). A value that changed while we run is still looked for. Sensitive outputs are secrets too: theirs
are in the vault.
"""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from store.errors import SealMissing, SecretUnusable
from store.records import Sealed
from store.redaction import Redactor, Secret, legible
from store.sealed import is_name

if TYPE_CHECKING:
    from store.vault import Vault

SHORTEST = 4
"""Characters of the shortest value that is taken: a shorter one is found everywhere, so it cannot be kept out."""

LOOK_AGAIN = 1.0
"""Seconds for which the list of known secrets is good."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


class _Read(NamedTuple):
    stamp: tuple[int, int, int]
    value: str | None
    problem: str


NEVER = float("-inf")


class Secrets:
    """The secrets of all the folders given, the first folder that has a name counts. Any thread may call.

    `key` (the node's) makes fingerprints that say nothing about values to whoever does not have it. `database` has the
    sensitive outputs, under a key made from `key`; it is looked into when something is first looked for.
    `key_file`, which may lie in one of the folders, is no secret for sagas to use.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        key: bytes,
        *,
        database: Path | None = None,
        key_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = list(folders)
        self._key = key
        self._database = database
        self._key_file = key_file
        self._made: list[Vault] = []
        """The vault, once it was asked for. Where two threads were first, the first of theirs counts."""
        self._clock = clock
        self._read: dict[Path, _Read] = {}
        self._known: dict[Secret, None] = {}
        self._asked = False
        """Whether the vault has been asked for what it has."""
        self._learning = threading.Lock()
        self._redactor = Redactor([])
        self._in_contents = self._redactor
        """Without the vault's."""
        self._good_until = NEVER

    def get(self, name: str) -> str:
        """Give a secret's value, less one newline at its end. Raises SecretUnusable, saying why and what to do."""
        if not _NAME.fullmatch(name):
            raise SecretUnusable(f"secret `{name}`", "a name is made of letters, digits, `_`, `-` and `.`")
        for folder in self._folders:
            if (read := self._look(folder / name)) is None:
                continue
            if read.value is None:
                raise SecretUnusable(folder / name, read.problem)
            self._learn(name, read.value)
            return read.value
        where = " or ".join(str(folder) for folder in self._folders)
        raise SecretUnusable(
            f"secret `{name}`", f"there is no such file in {where or 'any folder: set [secrets] dir'}"
        )

    @property
    def vault(self) -> Vault:
        """The sensitive outputs."""
        if not self._made:
            from store.sealing import Sealer
            from store.vault import Vault, rows_in

            rows = list if self._database is None else rows_in(self._database)
            self._made.append(Vault(Sealer(self._key), rows))
        return self._made[0]

    @property
    def broken(self) -> list[str]:
        """What is sealed and could not be opened, each with why and what to do; as far as anything was needed."""
        return self.vault.broken if self._asked else []

    def value(self, name: str) -> Any:
        """Give the value that a reference stands for: a secret's, or a sensitive output's, which may be any JSON.

        Raises SecretUnusable, for a sensitive output one that says whether it is missing or cannot be opened.
        """
        if not is_name(name):
            return self.get(name)
        try:
            return self.vault.get(name)
        except SealMissing:
            if any((folder / name).exists() for folder in self._folders):
                return self.get(name)
            raise

    def seal(self, execution: str, output: str, value: Any, shown: Collection[str] = ()) -> Sealed:
        """Seal an output for the commit that brings it. From now on it is kept out of the record like any secret.

        `shown` are texts that are no secret, though they may be in it. Raises TypeError or ValueError where it is not JSON.
        """
        self._current()
        row = self.vault.seal(execution, output, value, shown)
        self._take_in(self.vault.texts_of(execution, output))
        return row

    def redact(self, value: Any) -> Any:
        """Give a JSON value with `${secret.NAME}` wherever a known secret stood, in keys too."""
        return self._current().redact(value)

    def redact_bytes(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Replace secrets in a stream by marks that `reveal_bytes` turns back into the same bytes.

        Sensitive outputs are let through: a content is sealed itself, and may outlive their records.
        """
        self._current()
        return self._in_contents.redact_bytes(chunks)

    def reveal_bytes(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Undo `redact_bytes`. Raises SecretUnusable where a value is gone or is no longer what it was."""
        self._current()
        return self._in_contents.reveal_bytes(chunks)

    def legible(self, content: bytes) -> bytes:
        """Give a content that went through `redact_bytes` for a person to read: secrets are references."""
        return legible(content)

    def fingerprint(self, names: Iterable[str]) -> str:
        """Tell whether values changed between two moments, and nothing else about them."""
        parts = [part.encode() for name in sorted(set(names)) for part in (name, _text(self.value(name)))]
        sized = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, b"sagad secrets\0" + sized, "sha256").hex()

    def _current(self) -> Redactor:
        if not self._asked:
            self._take_in(self.vault.texts())
            self._asked = True
        if self._clock() >= self._good_until:
            try:
                for path in list(self._files()):
                    if (read := self._look(path)) and read.value is not None:
                        self._learn(path.name, read.value)
            except OSError:
                # No file descriptors, say. What we have given out since the last look is known all the same.
                if self._good_until == NEVER:
                    raise
            self._good_until = self._clock() + LOOK_AGAIN
        return self._redactor

    def _files(self) -> Iterator[Path]:
        seen = set[str]()
        for folder in self._folders:
            names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
            for name in names:
                if name not in seen and _NAME.fullmatch(name):
                    seen.add(name)
                    yield folder / name

    def _look(self, path: Path) -> _Read | None:
        if path == self._key_file:
            return None
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            read = self._read.get(path)
            if read is None or read.stamp != stamp:
                read = self._read[path] = _Read(stamp, *_value(path.read_bytes()))
        except FileNotFoundError:
            return None
        except OSError as error:
            return _Read((0, 0, 0), None, error.strerror or str(error))
        return read

    def _learn(self, name: str, value: str) -> None:
        mark = hmac.digest(self._key, b"sagad secret\0" + value.encode(), "sha256").hex()[:16]
        secret = Secret(name, value, mark)
        if next(reversed(self._known), None) == secret or secret in self._known:
            return
        with self._learning:
            self._known[secret] = None
            self._in_contents = Redactor(self._known)
            self._redactor = self._redactor.plus([secret])

    def _take_in(self, texts: Iterable[tuple[str, str]]) -> None:
        """Look for these texts of the vault too, from now on. One too short would be found everywhere."""
        found = [Secret(name, text, "") for name, text in texts if len(text) >= SHORTEST]
        with self._learning:
            self._redactor = self._redactor.plus(found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _value(content: bytes) -> tuple[str | None, str]:
    try:
        value = content.decode().removesuffix("\n")
    except UnicodeDecodeError:
        return None, "it is not UTF-8"
    if len(value) < SHORTEST:
        return None, f"it has {len(value)} characters: so short a value cannot be kept out of the record"
    return value, ""
