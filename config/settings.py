"""The settings (SPEC §10): what can be set, with the default beside it, and how they are loaded.

`config/sagad.toml` is the same list for the operator, with a sentence each; a test holds the two together. Durations
are milliseconds in here. The settings do not change while the daemon runs; `sagactl reload` loads new ones.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin, get_type_hints

import msgspec

from config import layers, paths
from config.kinds import (
    AbsolutePath,
    AbsolutePaths,
    Count,
    CountFromZero,
    Cron,
    Duration,
    Mode,
    Programs,
    Rate,
    RequestRate,
    Retention,
    Text,
    Texts,
    UrlPrefixes,
    kind_of,
)
from config.layers import Given
from config.problems import Problem, SettingsError, suggest

__all__ = ["Problem", "Rate", "Settings", "SettingsError", "load"]

Approve = Literal["never", "start", "irreversible", "each"]
OnFailure = Literal["compensate", "stop", "hold"]
OnUndoFailure = Literal["continue", "hold"]
OnConflict = Literal["hold", "force", "skip"]
TypeUndo = Literal["auto", "none", "hold", "required"]
LogLevel = Literal["debug", "info", "warning", "error"]

KIB = 1024
DAY = 86_400_000
LONGEST_SHOWN = 60  # characters of a value in a complaint


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file."""

    @classmethod
    def is_open_to(cls, _key: str, _given: Given) -> bool:
        """Tell whether the table takes a key beyond its fields; those go to its one field that is a dict."""
        return False


class Daemon(Table, frozen=True, kw_only=True):
    """Where the daemon lives and how it stops."""

    state_dir: AbsolutePath
    socket: AbsolutePath
    socket_mode: Mode = 0o660
    shutdown_grace: Duration = 10_000
    log_level: LogLevel = "info"


class Access(Table, frozen=True, kw_only=True):
    """Who has which role: user names, and groups as `@name`. The daemon's own user is admin without being named."""

    admin: Texts = ("root", "@sagad-admin")
    operator: Texts = ("@sagad",)
    viewer: Texts = ()


class Limits(Table, frozen=True, kw_only=True):
    """How much at once, in sagas and bytes, and after how long a waiting saga leaves memory."""

    sagas_in_flight: Count = 1000
    # Room for a whole document as a JSON string, with its quotes and line breaks escaped.
    request_bytes: Count = 2048 * KIB
    document_bytes: Count = 1024 * KIB
    wait_passivate: Duration = 5_000


class Supervisor(Table, frozen=True, kw_only=True):
    """When a crashing actor is started again and when it is quarantined."""

    max_restarts: CountFromZero = 5
    window: Duration = 60_000
    backoff: Duration = 100
    max_backoff: Duration = 30_000


class TypePolicy(Table, frozen=True, kw_only=True):
    """What the node demands of steps of one type; None leaves it to the node's general policy.

    `undo`: `auto`; `none`, they are kept; `hold`, somebody approves first; `required`, none without a way back.
    """

    undo: TypeUndo = "auto"
    approve: Approve | None = None
    on_conflict: OnConflict | None = None


class Policy(Table, frozen=True, kw_only=True):
    """What holds for every saga of this node unless the saga is stricter; `types` by type, as `local.file`."""

    approve: Approve = "never"
    on_failure: OnFailure = "compensate"
    on_undo_failure: OnUndoFailure = "continue"
    on_conflict: OnConflict = "hold"
    types: dict[str, TypePolicy] = msgspec.field(default_factory=dict)

    @classmethod
    def is_open_to(cls, key: str, given: Given) -> bool:
        """Take a resource type: one with a dot, as no key has, or a table (`command`) that holds no tables itself.

        With tables inside it is a type with a dot that nobody has quoted.
        """
        return "." in key or (given.is_table and not any(below.is_table for below in given.value.values()))


class Secrets(Table, frozen=True, kw_only=True):
    """Where `${secret.NAME}` is read from, and the node's key. Without key_file the key is in the state folder."""

    dir: AbsolutePath | None = None
    key_file: AbsolutePath | None = None


class KeepFor(Table, frozen=True, kw_only=True):
    """How long ended sagas are kept, by status: milliseconds, None for ever."""

    completed: Retention = 90 * DAY
    rolled_back: Retention = 365 * DAY
    failed: Retention = None


class Drift(Table, frozen=True, kw_only=True):
    """When the inventory is refreshed and compared (cron expressions), and when absence counts as missing.

    `auto_revert`: types, or resources as `TYPE/NAME`, whose drift is reverted without anybody's word, each resource so
    many times an hour at most.
    """

    sync: Cron = "15 * * * *"
    schedule: Cron = "20 * * * *"
    missing_after: Count = 2
    auto_revert: Texts = ()
    auto_revert_limit: Count = 4


class Local(Table, frozen=True, kw_only=True):
    """What `local.*` may touch."""

    roots: AbsolutePaths = (Path("/"),)


class Command(Table, frozen=True, kw_only=True):
    """What `command.run` may start: programs by absolute path; `*` is any."""

    allow: Programs = ("*",)


class Http(Table, frozen=True, kw_only=True):
    """What `http.request` may ask: addresses that begin so; `*` is any."""

    allow: UrlPrefixes = ("*",)


class DigitalOcean(Table, frozen=True, kw_only=True):
    """How DigitalOcean is reached; the tokens are names of secrets."""

    token: Text | None = None
    read_token: Text | None = None
    base_url: Text = "https://api.digitalocean.com"
    rate: RequestRate = Rate(count=250, per=60_000)
    parallel: Count = 8
    poll: Duration = 5_000
    settle: Duration = 60_000


class Providers(Table, frozen=True, kw_only=True):
    """What the drivers may do. The defaults are those of a daemon started by hand; the packaged file confines it.

    `others` holds, as written, the tables of providers that sagad does not bring along.
    """

    local: Local = msgspec.field(default_factory=Local)
    command: Command = msgspec.field(default_factory=Command)
    http: Http = msgspec.field(default_factory=Http)
    digitalocean: DigitalOcean = msgspec.field(default_factory=DigitalOcean)
    others: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)

    @classmethod
    def is_open_to(cls, key: str, _given: Given) -> bool:
        """Take any other provider's name, but not what is probably a built-in one with a slip of the pen.

        Taken for a stranger's, a misspelt `[providers.comand]` would confine nothing without a word.
        """
        built_in = [name for name in cls.__struct_fields__ if name != "others"]
        return not suggest(key, built_in).startswith("did")


class Settings(Table, frozen=True, kw_only=True):
    """All settings of one daemon."""

    daemon: Daemon
    access: Access = msgspec.field(default_factory=Access)
    limits: Limits = msgspec.field(default_factory=Limits)
    supervisor: Supervisor = msgspec.field(default_factory=Supervisor)
    policy: Policy = msgspec.field(default_factory=Policy)
    secrets: Secrets = msgspec.field(default_factory=Secrets)
    retention: KeepFor = msgspec.field(default_factory=KeepFor)
    drift: Drift = msgspec.field(default_factory=Drift)
    providers: Providers = msgspec.field(default_factory=Providers)


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    state_dir: Path | None = None,
    socket: Path | None = None,
    uid: int | None = None,
) -> Settings:
    """Load the settings: the file, its drop-ins, SAGAD_SECTION__KEY, then the flags, the later over the earlier.

    Without a path it is the default file (`config.paths`), which need not exist. Raise SettingsError with every
    problem of every source at once.
    """
    problems: list[Problem] = []
    file = path or paths.default_settings_file(environ, uid)
    given = _defaults(environ, state_dir, uid)
    for layer in layers.from_files(file, must_exist=path is not None, problems=problems):
        given = layers.over(given, layer)
    for layer in (*layers.from_environment(environ), *_flags(state_dir, socket)):
        given = layers.over(given, layer)
    settings = _read_table(Settings, given, problems)
    if settings is None:
        raise SettingsError(problems)
    return settings


def _defaults(environ: Mapping[str, str], state_dir: Path | None, uid: int | None) -> Given:
    # Where a state folder is chosen by flag, as tests do, the socket is there too, not the machine's one.
    socket = state_dir.absolute() / "sagad.sock" if state_dir else paths.daemon_socket(environ, uid)
    return layers.over(
        layers.place("default", "daemon", "socket", value=str(socket)),
        layers.place("default", "daemon", "state_dir", value=str(paths.default_state_dir(environ, uid))),
    )


def _flags(state_dir: Path | None, socket: Path | None) -> Iterator[Given]:
    # A shell's user may write a path relative to where they are; a file's author is nowhere.
    if state_dir:
        yield layers.place("--state-dir", "daemon", "state_dir", value=str(state_dir.absolute()))
    if socket:
        yield layers.place("--socket", "daemon", "socket", value=str(socket.absolute()))


T = TypeVar("T", bound=Table)


def _read_table(table: type[T], given: Given, problems: list[Problem]) -> T | None:
    """Make a table from what is given for it; None, and what is wrong added to the problems, where it cannot be."""
    hints = get_type_hints(table, include_extras=True)
    rest = next((name for name, hint in hints.items() if get_origin(hint) is dict), None)
    values: dict[str, Any] = {}
    for key, below in given.value.items():
        if key in hints and key != rest:
            values[key] = _read_field(hints[key], below, problems)
        elif rest and table.is_open_to(key, below):
            _, hint = hints[rest].__args__
            values.setdefault(rest, {})[key] = _read_field(hint, below, problems)
        else:
            problems.append(_unknown(key, below, set(hints) - {rest}))
    return None if problems else table(**values)


def _read_field(hint: Any, given: Given, problems: list[Problem]) -> Any:
    takes_table = isinstance(hint, type) and issubclass(hint, Table)
    if takes_table or get_origin(hint) is dict:
        if not given.is_table:
            problems.append(Problem(given.where, f"{_shown(given.plain())} is not a table"))
            return None
        return _read_table(hint, given, problems) if takes_table else given.plain()
    return _read_value(hint, given, problems)


def _read_value(hint: Any, given: Given, problems: list[Problem]) -> Any:
    kind = kind_of(hint)
    value = given.plain()
    # An environment variable that looks like a number may be the text that is asked for: a token `123`, say.
    for candidate in (value, given.text) if given.text is not None else (value,):
        try:
            return kind.read(candidate)
        except (ValueError, TypeError):
            continue
    problems.append(Problem(given.where, f"{_shown(value)} does not fit here", f"write {kind.expects}"))
    return None


def _unknown(key: str, given: Given, known: set[str]) -> Problem:
    if given.is_table and given.where.endswith(f"policy.{key}") and given.value:
        return Problem(
            given.where,
            f"unknown key `{key}`",
            f'a type is quoted: [policy."{key}.{next(iter(given.value))}"]',
        )
    return Problem(given.where, f"unknown key `{key}`", suggest(key, known))


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return f"`{text[:LONGEST_SHOWN]}…`" if len(text) > LONGEST_SHOWN else f"`{text}`"
