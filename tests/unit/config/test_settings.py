import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from config.settings import Problem, Rate, Settings, SettingsError, load

PACKAGED = Path(__file__).parents[3] / "config" / "sagad.toml"
DAY = 86_400_000

Load = Callable[..., Settings]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Load settings from a text, as a user would have them in sagad.toml."""

    def load_text(text: str = "", environ: Mapping[str, str] | None = None) -> Settings:
        path = tmp_path / "sagad.toml"
        path.write_text(text)
        return load(path, environ or {}, uid=0)

    return load_text


@pytest.fixture
def problems_of(load_text: Load, tmp_path: Path) -> Callable[..., list[Problem]]:
    """Load settings that are wrong and give the problems, with the folder left out of the places."""

    def problems_of(text: str = "", environ: Mapping[str, str] | None = None) -> list[Problem]:
        with pytest.raises(SettingsError) as refused:
            load_text(text, environ)
        return [
            msgspec.structs.replace(problem, where=problem.where.replace(f"{tmp_path}/", ""))
            for problem in refused.value.problems
        ]

    return problems_of


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    """A daemon started by hand without a settings file may do what its user may."""
    settings = load(None, {"HOME": str(tmp_path)}, uid=1000)

    assert settings.daemon.state_dir == tmp_path / ".local/state/sagad"
    assert settings.providers.local.roots == (Path("/"),)
    assert settings.providers.command.allow == ("*",)
    assert settings.providers.http.allow == ("*",)


def test_a_file_is_read_into_what_the_program_keeps(load_text: Load) -> None:
    """Durations become milliseconds, modes numbers, rates pairs, paths paths."""
    settings = load_text("""
        [daemon]
        socket_mode = "0600"
        shutdown_grace = "2m"
        [retention]
        completed = "2y"
        rolled_back = "never"
        [providers.local]
        roots = ["/srv", "/etc/nginx"]
        [providers.digitalocean]
        token = "do"
        rate = "100/10s"
    """)

    assert settings.daemon.socket_mode == 0o600
    assert settings.daemon.shutdown_grace == 120_000
    assert settings.retention.completed == 730 * DAY
    assert settings.retention.rolled_back is None
    assert settings.providers.local.roots == (Path("/srv"), Path("/etc/nginx"))
    assert settings.providers.digitalocean.token == "do"
    assert settings.providers.digitalocean.rate == Rate(count=100, per=10_000)


def test_a_type_without_a_dot_is_a_table_too(load_text: Load) -> None:
    """`command` and `http` are types as well, and need no quotes."""
    policy = load_text("[policy.command]\nundo = 'hold'").policy

    assert policy.types["command"].undo == "hold"


def test_a_types_policy_is_a_table_of_the_policy(load_text: Load) -> None:
    """What is not said for a type is left to the node's policy."""
    policy = load_text("""
        [policy]
        on_conflict = "skip"
        [policy."local.file"]
        undo = "required"
    """).policy

    assert policy.on_conflict == "skip"
    assert policy.types["local.file"].undo == "required"
    assert policy.types["local.file"].on_conflict is None


def test_a_stranger_providers_table_is_kept_as_it_is(load_text: Load) -> None:
    """A provider that sagad does not bring along checks its settings itself."""
    settings = load_text("[providers.hetzner]\ntoken = 'x'\nnested = {deep = [1, {two = 2}]}")

    assert settings.providers.others == {"hetzner": {"token": "x", "nested": {"deep": [1, {"two": 2}]}}}


def test_later_sources_go_over_earlier_ones(tmp_path: Path) -> None:
    """The file, then drop-ins by name, then the environment, then flags; what none of them says stays."""
    file = tmp_path / "site.toml"
    drop_ins = tmp_path / "site.conf.d"
    drop_ins.mkdir()
    file.write_text('[supervisor]\nmax_restarts = 1\nwindow = "1s"\nbackoff = "1ms"\nmax_backoff = "1m"\n')
    (drop_ins / "20-b.toml").write_text('[supervisor]\nwindow = "3s"')
    (drop_ins / "10-a.toml").write_text('[supervisor]\nwindow = "2s"\nbackoff = "2ms"')
    (drop_ins / "notes.txt").write_text("not read")
    environ = {"SAGAD_SUPERVISOR__MAX_BACKOFF": "4m", "SAGAD_DAEMON__SOCKET": "/run/env.sock"}

    settings = load(file, environ, socket=Path("/run/flag.sock"), uid=0)

    assert settings.supervisor == msgspec.structs.replace(
        settings.supervisor, max_restarts=1, window=3_000, backoff=2, max_backoff=240_000
    )
    assert settings.daemon.socket == Path("/run/flag.sock")


def test_the_default_file_is_read_where_it_is(tmp_path: Path) -> None:
    """Nobody needs `--config` for the file in its usual place."""
    (tmp_path / "sagad").mkdir()
    (tmp_path / "sagad" / "sagad.toml").write_text("[drift]\nmissing_after = 9")

    settings = load(None, {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}, uid=1000)

    assert settings.drift.missing_after == 9


def test_drop_ins_are_read_where_the_default_file_is_not(tmp_path: Path) -> None:
    """A machine may be set up by drop-ins alone."""
    drop_ins = tmp_path / "sagad" / "sagad.conf.d"
    drop_ins.mkdir(parents=True)
    (drop_ins / "one.toml").write_text("[drift]\nmissing_after = 9")

    settings = load(None, {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}, uid=1000)

    assert settings.drift.missing_after == 9


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("SAGAD_PROVIDERS__LOCAL__ROOTS", '["/srv"]', {"roots": (Path("/srv"),)}),
        ("SAGAD_PROVIDERS__LOCAL", '{roots = ["/opt"]}', {"roots": (Path("/opt"),)}),
    ],
)
def test_the_environment_speaks_toml(
    load_text: Load, name: str, text: str, expected: Mapping[str, object]
) -> None:
    """Lists and tables are written as in the file."""
    settings = load_text(environ={name: text})

    assert msgspec.structs.asdict(settings.providers.local) == expected


def test_a_table_in_the_environment_may_hold_tables(load_text: Load) -> None:
    """A stranger's settings can be given in one variable."""
    settings = load_text(environ={"SAGAD_PROVIDERS__HETZNER": "{a = {b = 1}}"})

    assert settings.providers.others == {"hetzner": {"a": {"b": 1}}}


@pytest.mark.parametrize(
    ("text", "token"),
    [("harbour", "harbour"), ('"quoted"', "quoted"), ("123", "123"), ("a\nb = 1", "a\nb = 1")],
)
def test_a_text_needs_no_quotes_in_the_environment(load_text: Load, text: str, token: str) -> None:
    """What is no TOML value is a text, and what only looks like a number is one where a text is asked for."""
    settings = load_text(environ={"SAGAD_PROVIDERS__DIGITALOCEAN__TOKEN": text})

    assert settings.providers.digitalocean.token == token


def test_names_without_a_double_underscore_are_no_settings(load_text: Load) -> None:
    """SAGAD_SOCKET is sagactl's and SAGAD_EXECUTION is a child's; a daemon started under them must not stumble."""
    settings = load_text(environ={"SAGAD_SOCKET": "/tmp/s", "SAGAD_EXECUTION": "x", "OTHER__THING": "1"})

    assert settings == load_text()


def test_a_state_folder_by_flag_takes_the_socket_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon for trying things out never lands on the machine's socket; a flag's path may be relative."""
    monkeypatch.chdir(tmp_path)

    daemon = load(None, {"XDG_CONFIG_HOME": str(tmp_path)}, state_dir=Path("state"), uid=1000).daemon

    assert daemon.state_dir == tmp_path / "state"
    assert daemon.socket == tmp_path / "state" / "sagad.sock"


def test_a_socket_that_is_set_stays_where_the_state_folder_is_a_flag(tmp_path: Path) -> None:
    """Only a socket that nobody has set follows the state folder."""
    daemon = load(
        None, {"SAGAD_DAEMON__SOCKET": "/run/own.sock", "HOME": "/"}, state_dir=tmp_path, uid=1000
    ).daemon

    assert daemon.socket == Path("/run/own.sock")


def test_every_problem_is_named_at_once(problems_of: Callable[..., list[Problem]]) -> None:
    """One start shows all that is wrong, from all sources, each with its place and what to do."""
    problems = problems_of(
        '[daemon]\nlog_levl = "info"\nshutdown_grace = "soon"\n[limts]\n[providers.comand]\nallow = []',
        {"SAGAD_DRIFT__MISSING_AFTER": "often"},
    )

    assert problems == [
        Problem("sagad.toml: daemon.log_levl", "unknown key `log_levl`", "did you mean `log_level`?"),
        Problem(
            "sagad.toml: daemon.shutdown_grace",
            '`"soon"` does not fit here',
            "write a duration: `250ms`, `30s`, `5m`, `2h` or `7d`",
        ),
        Problem("sagad.toml: limts", "unknown key `limts`", "did you mean `limits`?"),
        Problem("sagad.toml: providers.comand", "unknown key `comand`", "did you mean `command`?"),
        Problem(
            "SAGAD_DRIFT__MISSING_AFTER", '`"often"` does not fit here', "write a whole number, 1 or more"
        ),
    ]


def test_an_unknown_key_without_a_likeness_is_told_what_there_is(
    problems_of: Callable[..., list[Problem]],
) -> None:
    """Where nothing is near, the known keys are the hint."""
    (problem,) = problems_of("[supervisor]\nzzz = 1")

    assert problem.hint == "known here: backoff, max_backoff, max_restarts, window"


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("daemon.socket_mode = 660", "daemon.socket_mode", 'an octal mode in quotes, as "0660"'),
        ('daemon.socket_mode = "0999"', "daemon.socket_mode", 'an octal mode in quotes, as "0660"'),
        ('daemon.log_level = "loud"', "daemon.log_level", 'one of "debug", "info", "warning", "error"'),
        ("daemon.log_level = {a = 1}", "daemon.log_level", 'one of "debug", "info", "warning", "error"'),
        ('daemon.state_dir = "state"', "daemon.state_dir", 'an absolute path, as "/srv"'),
        ('access.admin = "root"', "access.admin", 'a list of texts, as ["root", "@sagad"]'),
        ("access.admin = [1]", "access.admin", 'a list of texts, as ["root", "@sagad"]'),
        ("limits.sagas_in_flight = 0", "limits.sagas_in_flight", "a whole number, 1 or more"),
        ("limits.sagas_in_flight = true", "limits.sagas_in_flight", "a whole number, 1 or more"),
        ("limits.sagas_in_flight = 1.5", "limits.sagas_in_flight", "a whole number, 1 or more"),
        ("supervisor.max_restarts = false", "supervisor.max_restarts", "a whole number, 0 or more"),
        ('drift.sync = ""', "drift.sync", 'a cron expression, as "15 * * * *", or "never"'),
        ('drift.schedule = "61 * * * *"', "drift.schedule", 'a cron expression, as "15 * * * *", or "never"'),
        ('drift.schedule = "0 0 31 2 *"', "drift.schedule", 'a cron expression, as "15 * * * *", or "never"'),
        ('retention.failed = "some day"', "retention.failed", "how long to keep it: `7d`, `1y` or `never`"),
        ('supervisor.window = "1y"', "supervisor.window", "a duration: `250ms`, `30s`, `5m`, `2h` or `7d`"),
        ("supervisor.window = 60", "supervisor.window", "a duration: `250ms`, `30s`, `5m`, `2h` or `7d`"),
        (
            'providers.digitalocean.rate = "0/1m"',
            "providers.digitalocean.rate",
            'a number of requests in a time, as "250/1m"',
        ),
        (
            'providers.digitalocean.rate = "9/0s"',
            "providers.digitalocean.rate",
            'a number of requests in a time, as "250/1m"',
        ),
        (
            'policy."local.file".undo = "no"',
            'policy."local.file".undo',
            'one of "auto", "none", "hold", "required"',
        ),
    ],
)
def test_a_value_that_does_not_fit_is_answered_with_what_to_write(
    problems_of: Callable[..., list[Problem]], text: str, where: str, hint: str
) -> None:
    """The hint says in words, with an example, what the key takes."""
    (problem,) = problems_of(text)

    assert (problem.where, problem.hint) == (f"sagad.toml: {where}", f"write {hint}")


@pytest.mark.parametrize(
    "text",
    [
        'providers.command.allow = ["nginx"]',
        'providers.http.allow = ["https://example.net"]',
        'providers.http.allow = ["example.net/"]',
        'providers.http.allow = ["ftp://example.net/"]',
        'providers.local.roots = ["srv"]',
        'providers.local.roots = ["/srv", ""]',
    ],
)
def test_what_would_allow_nothing_or_too_much_is_refused(
    problems_of: Callable[..., list[Problem]], text: str
) -> None:
    """A program without its path never matches; an address without the slash would match another host's beginning."""
    (problem,) = problems_of(text)

    assert problem.hint.startswith("write a list of")


@pytest.mark.parametrize(
    "text", ["daemon = 3", "policy.'local.file' = 1", "providers.hetzner = 'x'", "providers.local = []"]
)
def test_a_value_in_a_tables_place_is_refused(problems_of: Callable[..., list[Problem]], text: str) -> None:
    """A section is a table, whoever's it is."""
    (problem,) = problems_of(text)

    assert problem.problem.endswith("is not a table")


def test_a_type_without_quotes_is_told_how_to_write_it(problems_of: Callable[..., list[Problem]]) -> None:
    """TOML reads `[policy.local.file]` as a table in a table; the answer shows the quotes."""
    (problem,) = problems_of('[policy.local.file]\nundo = "none"')

    assert problem == Problem(
        "sagad.toml: policy.local", "unknown key `local`", 'a type is quoted: [policy."local.file"]'
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"[daemon\n", "not TOML: "),
        (b'a = "\xff"', "not UTF-8, from byte 5 on"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_problem(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    """A file that was asked for must be there and be TOML; the complaint names it."""
    path = tmp_path / "sagad.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingsError) as refused:
        load(path, {})

    assert str(refused.value).startswith(f"{path}: {complaint}")


@pytest.mark.parametrize("closed", [".", "sagad.toml", "sagad.conf.d"])
@pytest.mark.parametrize("by_flag", [True, False])
def test_what_this_user_may_not_read_is_a_problem(closed: str, by_flag: bool) -> None:
    """A home that is another's, a file, or the drop-ins: it is not taken for what is not there."""
    with TemporaryDirectory() as home:
        folder = Path(home) / "sagad"
        (folder / "sagad.conf.d").mkdir(parents=True)
        (folder / "sagad.toml").touch()
        Path(home).chmod(0o711)
        (folder / closed).chmod(0)
        os.seteuid(65_534 if os.getuid() == 0 else os.getuid())
        try:
            with pytest.raises(SettingsError) as refused:
                load(folder / "sagad.toml" if by_flag else None, {"XDG_CONFIG_HOME": home}, uid=1000)
        finally:
            os.seteuid(os.getuid())
            (folder / closed).chmod(0o700)
    named = folder / ("sagad.toml" if closed == "." else closed)

    assert str(refused.value).startswith(f"{named}: cannot be read: Permission denied (let the user that")


def test_a_file_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    """A broken drop-in and a wrong variable are told together."""
    (tmp_path / "sagad.conf.d").mkdir()
    (tmp_path / "sagad.toml").write_text("")
    (tmp_path / "sagad.conf.d" / "broken.toml").write_text("=")

    with pytest.raises(SettingsError) as refused:
        load(tmp_path / "sagad.toml", {"SAGAD_DAEMON__X": "1"})

    assert len(refused.value.problems) == 2


def test_the_packaged_file_confines_the_daemon() -> None:
    """What a service may do is what its file says: a folder, and no programs or addresses."""
    providers = load(PACKAGED, {}, uid=0).providers

    assert (providers.local.roots, providers.command.allow, providers.http.allow) == ((Path("/srv"),), (), ())


def test_the_packaged_file_shows_every_setting(load_text: Load) -> None:
    """With its comments taken away it names each key of each table, so nothing is hidden from its reader."""
    shown = _keys(tomllib.loads(_uncommented()))
    there = _keys(msgspec.to_builtins(load_text(_uncommented()), enc_hook=str))
    there = {key.replace("policy.types.", "policy.") for key in there} - {"providers.others"}

    assert shown == there


def test_the_packaged_file_shows_the_true_defaults(load_text: Load) -> None:
    """What it gives as default is the default, but for the examples, which have none."""
    shown = load_text(_uncommented(), {"SAGAD_PROVIDERS__LOCAL__ROOTS": '["/"]'})
    confined = load_text(
        '[providers.local]\nroots = ["/"]\n[providers.command]\nallow = []\n[providers.http]\nallow = []'
    )
    example = msgspec.structs.replace(
        confined,
        policy=shown.policy,
        secrets=shown.secrets,
        providers=msgspec.structs.replace(
            confined.providers,
            digitalocean=msgspec.structs.replace(
                confined.providers.digitalocean,
                token="digitalocean-token",
                read_token="digitalocean-read-token",
            ),
        ),
    )

    assert shown == example
    assert msgspec.structs.replace(shown.policy, types={}) == confined.policy


def test_the_settings_do_not_change_under_the_daemon(load_text: Load) -> None:
    """They are read by many tasks at once; `reload` makes new ones."""
    settings = load_text()

    with pytest.raises(AttributeError):
        settings.daemon.log_level = "debug"  # type: ignore[misc]


def _uncommented() -> str:
    return re.sub(r"^# (?=\[|[a-z_]+ = )", "", PACKAGED.read_text(), flags=re.MULTILINE)


def _keys(table: Mapping[str, object], prefix: str = "") -> set[str]:
    keys = set()
    for key, value in table.items():
        if isinstance(value, dict) and value and "count" not in value:
            keys |= _keys(value, f"{prefix}{key}.")
        else:
            keys.add(f"{prefix}{key}")
    return keys
