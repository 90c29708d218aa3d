"""Finding secrets in values and streams, and putting references in their place."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

from store.errors import SecretUnusable

_START = b"${secret"
# A stream says `${secret.NAME:FORM:MARK}` for a secret and `${secret}` for a `${secret` of its own.
_MARK = re.compile(rb"\$\{secret(?:\}|\.([\w.-]+):([\w-]+):([0-9a-f]+)\})")
_LONGEST_MARK = 512

_CORE = 5
"""Characters of the shortest piece of a secret that is taken for it inside a longer text."""

_CUT = re.compile(r"\n\[sagad cut [^\n\]]* here\]\n")
"""What a driver writes where it has cut something out of a text (``providers.contract.cut``)."""

_MOST_CUTS = 16
"""A driver cuts once. A program or service that writes many such marks itself must not keep us busy."""


class Secret(NamedTuple):
    """A known secret; `mark` tells its value from others of the same name."""

    name: str
    value: str
    mark: str


def forms(value: str) -> dict[str, str]:
    """Give the texts in which a value commonly travels, by the form's name. Names are on record: never rename one."""
    raw = value.encode()
    found = {
        "raw": value,
        "json": json.dumps(value)[1:-1],
        "json-utf8": json.dumps(value, ensure_ascii=False)[1:-1],
        "url": quote(value, safe=""),
        "url-path": quote(value),
        "url-plus": quote_plus(value),
        "base64": base64.b64encode(raw).decode(),
        "base64-bare": base64.b64encode(raw).decode().rstrip("="),
        "base64url": base64.urlsafe_b64encode(raw).decode(),
        "base64url-bare": base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
    if len(bare := value.strip()) >= _CORE:
        found["stripped"] = bare
    for before in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            if len(core := _core(encode(bytes(before) + raw).decode(), before, len(raw))) >= _CORE:
                found[f"{name}-in-{before}"] = core
    return _distinct(found)


def _distinct(found: dict[str, str]) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, text in found.items():
        first.setdefault(text, name)
    return {name: text for text, name in first.items()}


def _core(encoded: str, before: int, size: int) -> str:
    """Cut off the characters of a base64 text in which bits of its neighbours would be."""
    return encoded[-(-before * 8 // 6) : (before + size) * 8 // 6]


class _Found(NamedTuple):
    secret: Secret
    form: str


class _Span(NamedTuple):
    """A part of a text, and what is to stand there."""

    start: int
    end: int
    instead: str


class Redactor:
    """Replaces these secrets. Immutable; a change of secrets makes a new one."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._texts: dict[str, _Found] = {}
        self._values: dict[tuple[str, str], dict[str, str]] = {}
        self._add(secrets)

    def _add(self, secrets: Iterable[Secret]) -> None:
        for secret in secrets:
            found = self._values[secret.name, secret.mark] = forms(secret.value)
            for form, text in found.items():
                self._texts.setdefault(text, _Found(secret, form))

    def plus(self, secrets: Iterable[Secret]) -> Redactor:
        """Give one that replaces these too. What both have goes by the name that it has here."""
        more = Redactor([])
        more._texts, more._values = dict(self._texts), dict(self._values)
        more._add(secrets)
        return more

    @cached_property
    def _bytes(self) -> dict[bytes, _Found]:
        return {text.encode(): found for text, found in self._texts.items()}

    @cached_property
    def _in_bytes(self) -> re.Pattern[bytes]:
        return re.compile(_in_stream([text.encode() for text in _longest_first(self._texts)]))

    @cached_property
    def _reach(self) -> int:
        return max((len(text) for text in self._bytes), default=0) + len(_START)

    def redact(self, value: Any) -> Any:
        """Give the JSON value with references in the place of secrets."""
        if not self._texts:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {self.redact(key): self.redact(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.redact(item) for item in value]
        return value

    def _text(self, text: str) -> str:
        # Looking for each by itself is a fast search in C; mostly none is there. An expression for all of them would go
        # through the alternatives at each place, and be made anew with each new secret.
        spans = [
            _Span(*match.span(), f"${{secret.{found.secret.name}}}")
            for form, found in self._texts.items()
            if form in text
            for match in re.finditer(re.escape(form), text)
        ]
        spans += self._at_cuts(text)
        if not spans:
            return text
        out, at = list[str](), 0
        for span in sorted(spans, key=lambda span: (span.start, -span.end)):
            if span.end > at:
                out += (text[at : span.start], span.instead)
                at = span.end
        return "".join(out) + text[at:]

    def _at_cuts(self, text: str) -> Iterator[_Span]:
        """Take away what may be part of a secret where a driver has cut the rest of it off."""
        cuts = [match.span() for match in _CUT.finditer(text)]
        if len(cuts) > _MOST_CUTS:
            cuts = [(cuts[0][0], cuts[-1][1])]
            yield _Span(*cuts[0], "\n[sagad cut a text full of marks like this here]\n")
        for start, end in cuts:
            before, after = text[:start], text[end:]
            yield _Span(start - max(_shared(before, form) for form in self._texts), start, "")
            yield _Span(end, end + max(_shared(form, after) for form in self._texts), "")

    def redact_bytes(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Replace secrets in a stream by marks from which the same bytes can be had again."""
        rest = b""
        for chunk in chunks:
            rest += chunk
            # What begins before `sure` can be seen whole by now, whichever secret it is.
            if (sure := len(rest) - self._reach) > 0:
                done, rest = self._replace(rest, sure)
                yield done
        done, rest = self._replace(rest, len(rest))
        if done:
            yield done

    def _replace(self, data: bytes, sure: int) -> tuple[bytes, bytes]:
        out, at = list[bytes](), 0
        for match in self._in_bytes.finditer(data):
            if match.start() >= sure:
                break
            out += (data[at : match.start()], self._mark(match[0]))
            at = match.end()
        end = max(at, sure)
        out.append(data[at:end])
        return b"".join(out), data[end:]

    def _mark(self, found: bytes) -> bytes:
        if found == _START:
            return _START + b"}"
        secret, form = self._bytes[found]
        return b"%b.%b:%b:%b}" % (_START, secret.name.encode(), form.encode(), secret.mark.encode())

    def reveal_bytes(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Undo `redact_bytes`. Raises SecretUnusable where a value is not known any more."""
        rest = b""
        for chunk in chunks:
            rest += chunk
            cut = len(rest)
            if (open_ := rest.rfind(b"$", max(0, cut - _LONGEST_MARK))) >= 0 and b"}" not in rest[open_:]:
                cut = open_
            yield _MARK.sub(self._reveal, rest[:cut])
            rest = rest[cut:]
        if rest:
            yield _MARK.sub(self._reveal, rest)

    def _reveal(self, match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            return _START
        name, form, mark = (match[group].decode() for group in (1, 2, 3))
        texts = self._values.get((name, mark))
        if texts is None:
            raise SecretUnusable(
                f"secret `{name}`", "its value is not the one that stood here: put that back for now"
            )
        return texts[form].encode()


def _shared(left: str, right: str) -> int:
    """Give how many characters at most the end of the one text and the beginning of the other have in common."""
    at = left.find(right[:1], max(0, len(left) - len(right)))
    while 0 <= at < len(left) and not right.startswith(left[at:]):
        at = left.find(right[0], at + 1)
    return len(left) - at if at >= 0 else 0


def legible(content: bytes) -> bytes:
    """Give a content that went through `redact_bytes` for a person to read: with plain references for its marks."""
    return _MARK.sub(lambda mark: _START if mark[1] is None else b"%b.%b}" % (_START, mark[1]), content)


def _longest_first(texts: Iterable[str]) -> list[str]:
    return sorted(texts, key=lambda text: (-len(text), text))


def _in_stream(secrets: Sequence[bytes]) -> bytes:
    """An expression for any of the secrets, or for a `${secret` in which none of them begins."""
    any_secret = b"|".join(map(re.escape, secrets))
    if not secrets:
        return re.escape(_START)
    none = b"(?!%b)" % any_secret
    return any_secret + b"|" + none.join(re.escape(bytes([byte])) for byte in _START)
