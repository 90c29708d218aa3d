import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest
import uvloop

from providers import command, processes
from providers.command import Command
from providers.contract import (
    Call,
    Done,
    Ended,
    Failed,
    NotDone,
    Outcome,
    Succeeded,
    Unclear,
    Unknown,
    Working,
)
from store.redaction import Redactor, Secret
from tests.unit.providers.calls import NoBlobs, call_of, problems_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def driver() -> Command:
    """One that may run anything."""
    return Command({"allow": ["*"]}, NoBlobs())


@pytest.fixture
def key() -> str:
    """A key of this test's own: the look for processes goes through the whole machine."""
    return f"test-{os.getpid()}-{time.monotonic_ns()}"


def shell(driver: Command, script: str, **more: Any) -> Call:
    """Make a call that runs a script."""
    key = more.pop("key", "k-1")
    return call_of(driver, "run", {"argv": ["sh", "-c", script], **more}, key=key)


async def run(driver: Command, script: str, **more: Any) -> Outcome:
    """Run a script to its outcome."""
    return await driver.apply(shell(driver, script, **more))


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def open_descriptors() -> set[str]:
    """List this process's open files."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe with a name: reading it waits until somebody has written."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


# --- outcomes -------------------------------------------------------------------------------------------------------


async def test_exit_code_0_is_success_with_what_was_said(driver: Command) -> None:
    """Both streams are outputs, apart."""
    outcome = await run(driver, "echo out; echo err >&2")

    assert outcome == Succeeded({"exit_code": 0, "stdout": "out\n", "stderr": "err\n"})


async def test_another_exit_code_is_failed_by_the_commands_own_word(driver: Command) -> None:
    """The error names the program, the code and the end of what it wrote."""
    outcome = await run(driver, "echo no such site >&2; exit 3")

    assert outcome == Failed("exit_code", "`sh` exited with code 3: no such site")


async def test_an_error_names_stdout_where_stderr_is_empty(driver: Command) -> None:
    """Some programs complain on the wrong stream, some not at all."""
    spoken, silent = await run(driver, "echo sorry; exit 1"), await run(driver, "exit 1")

    assert spoken == Failed("exit_code", "`sh` exited with code 1: sorry")
    assert silent == Failed("exit_code", "`sh` exited with code 1, and said nothing")


async def test_death_by_a_signal_is_unknown(driver: Command) -> None:
    """The command did not say anything, so its word cannot be taken."""
    outcome = await run(driver, "kill -KILL $$")

    assert isinstance(outcome, Unknown)
    assert "SIGKILL" in outcome.message


async def test_a_program_that_is_not_there_failed_before_anything_ran(driver: Command) -> None:
    """By name and by path."""
    with pytest.raises(Ended, match="there is no program `sagad-nowhere`") as by_name:
        await driver.apply(call_of(driver, "run", {"argv": ["sagad-nowhere"]}))
    with pytest.raises(Ended, match="No such file") as by_path:
        await driver.apply(call_of(driver, "run", {"argv": ["/sagad/nowhere"]}))

    assert isinstance(by_name.value.outcome, Failed)
    assert isinstance(by_path.value.outcome, Failed)


async def test_what_cannot_be_executed_failed_before_anything_ran(driver: Command, tmp_path: Path) -> None:
    """No execute bit, and no program at all."""
    plain = tmp_path / "plain"
    plain.write_text("neither a program nor a script")
    with pytest.raises(Ended, match="Permission denied"):
        await driver.apply(call_of(driver, "run", {"argv": [str(plain)]}))
    plain.chmod(0o755)
    with pytest.raises(Ended, match="Exec format error"):
        await driver.apply(call_of(driver, "run", {"argv": [str(plain)]}))


async def test_a_missing_folder_to_run_in_is_named(driver: Command) -> None:
    """It is the folder that is missing, not the program."""
    with pytest.raises(Ended, match="/sagad/nowhere: No such file"):
        await run(driver, "true", cwd="/sagad/nowhere")


@pytest.mark.parametrize("reason", [errno.EAGAIN, errno.ENOENT])
def test_only_a_passing_reason_is_worth_another_try(reason: int) -> None:
    """No more processes now may be over soon; no such file is not."""
    failed = command._cannot_start("/bin/x", OSError(reason, os.strerror(reason)))

    assert failed.transient is (reason == errno.EAGAIN)


# --- what the child sees --------------------------------------------------------------------------------------------


async def test_the_child_sees_a_small_environment_and_its_key(
    driver: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the daemon's own gets in, and nobody can take the mark away."""
    monkeypatch.setenv("DAEMONS_SECRET", "x")

    outcome = await driver.apply(
        call_of(driver, "run", {"argv": ["env"], "env": {"PORT": 80, "PATH": "/bin"}}, key="abc-1")
    )

    assert isinstance(outcome, Succeeded)
    seen = dict(line.split("=", 1) for line in outcome.outputs["stdout"].splitlines())
    assert seen.keys() == {"PATH", "LANG", "HOME", "PORT", "SAGAD_EXECUTION"}
    assert (seen["PORT"], seen["PATH"], seen["SAGAD_EXECUTION"]) == ("80", "/bin", "abc-1")


async def test_words_are_not_read_by_any_shell(driver: Command) -> None:
    """What a reference has put in stays one word, and a number becomes its text."""
    outcome = await driver.apply(call_of(driver, "run", {"argv": ["printf", "<%s>", "$(id); *", "", 7]}))

    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["stdout"] == "<$(id); *><><7>"


async def test_stdin_is_what_was_given_or_nothing(driver: Command) -> None:
    """More than a pipe holds is no trouble, nor is a child that never reads it."""
    much = "ü" * 300_000
    counted, unread, none = (
        await run(driver, "wc -c", stdin=much),
        await run(driver, "true", stdin=much),
        await run(driver, "cat"),
    )

    assert isinstance(counted, Succeeded)
    assert counted.outputs["stdout"].strip() == "600000"
    assert isinstance(unread, Succeeded)
    assert none == Succeeded({"exit_code": 0, "stdout": "", "stderr": ""})


async def test_it_runs_in_the_folder_given_and_in_a_session_of_its_own(
    driver: Command, tmp_path: Path
) -> None:
    """A session of its own has no terminal, and is how its children are found."""
    outcome = await run(driver, "pwd; cut -d' ' -f1,6 /proc/$$/stat", cwd=str(tmp_path))

    assert isinstance(outcome, Succeeded)
    folder, numbers = outcome.outputs["stdout"].splitlines()
    pid, session = numbers.split()
    assert folder == str(tmp_path)
    assert pid == session


@pytest.mark.parametrize(
    "name",
    [
        "PYTHONUSERBASE", "PYTHONWARNINGS", "PYTHONBREAKPOINT", "HOME", "BROWSER", "XDG_CONFIG_HOME", "BASH_FUNC_ls%%",
        "GIT_CONFIG_COUNT", "JDK_JAVA_OPTIONS", "npm_config_script_shell", "PHPRC", "R_PROFILE", "OPENSSL_MODULES",
        "LD_AUDIT", "PERL5OPT", "RUBYOPT", "NODE_OPTIONS", "LUA_INIT_5_4", "PATH", "IFS", "ENV", "SSH_ASKPASS",
    ],
)  # fmt: skip
def test_no_variable_has_an_allowed_program_run_other_code(name: str) -> None:
    """Where programs are allowed by name. Who may run any needs no such way."""
    arguments = {
        "argv": ["/bin/echo"],
        "env": {name: "x", "TMPDIR": "/tmp", "LC_ALL": "C", "ENVIRONMENT": "test"},
    }
    (problem,) = problems_of(Command({"allow": ["/bin/echo"]}, NoBlobs()), "run", arguments)

    assert problem.startswith(f"env: {name} may not be set")
    assert "allow that script instead" in problem
    assert problems_of(Command({"allow": ["*"]}, NoBlobs()), "run", arguments) == []


# --- output ---------------------------------------------------------------------------------------------------------


async def test_output_is_capped_and_says_so(driver: Command) -> None:
    """The beginning and the end are kept; the child never waits for a reader."""
    outcome = await run(driver, "echo begin; yes | head -c 1000000; echo end; echo all of it >&2")

    assert isinstance(outcome, Succeeded)
    text = outcome.outputs["stdout"]
    assert text.startswith("begin\n")
    assert text.endswith("end\n")
    assert f"[sagad cut {1_000_010 - command.KEPT} bytes here]" in text
    assert len(text) < command.KEPT + 100
    assert outcome.outputs["stderr"] == "all of it\n"


@pytest.mark.parametrize("part", range(27))
async def test_a_secret_that_a_cut_goes_through_is_not_left_in_part(driver: Command, part: int) -> None:
    """Neither at the edges of the gap in a long output, nor where an error's text begins."""
    secret = "Qz7-ö_Xw9+Kj3=Vb5%Hn8~Pd1"
    redactor = Redactor([Secret("token", secret, "00")])
    dots = "." * (command.KEPT // 2 - part)
    said = await run(driver, "cat", stdin=f"{dots}{secret}{'.' * 100}{secret}{dots}")
    failed = await run(driver, "cat >&2; exit 3", stdin=f"{secret}{'.' * (command.TAIL - part)}")

    assert isinstance(said, Succeeded)
    assert isinstance(failed, Failed)
    for text in (said.outputs["stdout"], failed.message.removeprefix("`sh` exited with code 3: ")):
        rest = re.sub(r"\$\{secret\.token\}|\[sagad cut \d+ \w+ here\]|[.\n]", "", redactor.redact(text))
        assert rest == ""


async def test_output_that_is_just_short_enough_is_whole(driver: Command) -> None:
    """Nothing is said to be cut where nothing was."""
    outcome = await run(driver, f"head -c {command.KEPT} /dev/zero | tr '\\0' x")

    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["stdout"] == "x" * command.KEPT


async def test_output_that_is_not_utf8_is_text_all_the_same(driver: Command) -> None:
    """It has to fit into JSON."""
    outcome = await run(driver, r"printf 'a\377b'")

    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["stdout"] == "a\N{REPLACEMENT CHARACTER}b"


async def test_nothing_that_was_written_is_lost_on_a_busy_loop(
    driver: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment after the exit can be over before the readers had a turn."""

    async def have_no_turn(_: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(command, "LINGER", 0)
    monkeypatch.setattr(command._Stream, "drain", have_no_turn)
    outcome = await run(driver, "head -c 60000 /dev/zero | tr '\\0' x; echo err >&2")

    assert outcome == Succeeded({"exit_code": 0, "stdout": "x" * 60000, "stderr": "err\n"})


@pytest.mark.slow
async def test_a_service_that_goes_on_writing_does_not_hold_it_up(driver: Command, key: str) -> None:
    """What comes after the child's exit is cut off somewhere."""
    with anyio.fail_after(5):
        outcome = await run(driver, "yes & echo $! >&2", key=key)

    assert isinstance(outcome, Succeeded)
    await driver.end(shell(driver, "", key=key))


# --- the end of an attempt ------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_service_that_it_started_holds_nothing_up_and_lives_on(driver: Command, key: str) -> None:
    """The child's own exit is the end, though its child keeps the streams open."""
    with anyio.fail_after(5):
        outcome = await run(driver, "sleep 60 & echo $!", key=key)

    assert isinstance(outcome, Succeeded)
    assert is_alive(int(outcome.outputs["stdout"]))
    await driver.end(shell(driver, "", key=key))
    assert not is_alive(int(outcome.outputs["stdout"]))


@pytest.mark.slow
async def test_what_a_failed_command_left_running_is_ended(driver: Command, key: str) -> None:
    """Otherwise the next attempt would run beside it."""
    outcome = await run(driver, "sleep 60 & echo $!; exit 1", key=key)

    assert isinstance(outcome, Failed)
    assert not is_alive(int(outcome.message.rpartition(": ")[2]))


@pytest.mark.slow
async def test_cancelling_ends_the_whole_session_before_it_returns(
    driver: Command, key: str, fifo: Path
) -> None:
    """When the call has ended none of its code is running, and no descriptor is left open."""
    before = open_descriptors()
    async with anyio.create_task_group() as attempt:
        attempt.start_soon(driver.apply, shell(driver, f"sleep 60 & echo $$ $! > {fifo}; wait", key=key))
        pids = [int(pid) for pid in (await anyio.to_thread.run_sync(fifo.read_text)).split()]
        assert [is_alive(pid) for pid in pids] == [True, True]
        attempt.cancel_scope.cancel()

    assert [is_alive(pid) for pid in pids] == [False, False]
    assert open_descriptors() <= before


async def test_no_descriptor_and_no_zombie_is_left(driver: Command) -> None:
    """Whatever way it went."""
    await run(driver, "true", stdin="x")
    before = open_descriptors()
    await run(driver, "echo x", stdin="x")
    await run(driver, "exit 1")
    with pytest.raises(Ended):
        await run(driver, "true", cwd="/sagad/nowhere", stdin="x")

    assert open_descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_it_runs_under_uvloop(driver: Command) -> None:
    """The daemon's loop is not the tests' one."""
    outcome = uvloop.run(run(driver, "cat; echo err >&2", stdin="in"))

    assert outcome == Succeeded({"exit_code": 0, "stdout": "in", "stderr": "err\n"})


@pytest.mark.slow
async def test_many_run_side_by_side(driver: Command) -> None:
    """One instance serves the whole daemon."""
    outcomes: dict[int, Outcome] = {}

    async def one(number: int) -> None:
        outcomes[number] = await run(driver, f"echo {number}", key=f"many-{number}")

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(one, number)

    assert outcomes == {
        number: Succeeded({"exit_code": 0, "stdout": f"{number}\n", "stderr": ""}) for number in range(30)
    }


DAEMON = """
import sys, anyio
from providers.command import Command
from tests.unit.providers.calls import NoBlobs, call_of
driver = Command({"allow": ["*"]}, NoBlobs())
anyio.run(driver.apply, call_of(driver, "run", {"argv": ["sh", "-c", sys.argv[2]]}, key=sys.argv[1]))
"""


@pytest.mark.slow
async def test_children_of_a_daemon_that_was_killed_are_ended(driver: Command, key: str, fifo: Path) -> None:
    """SIGKILL leaves no time for anything; the next daemon finds the orphans and awaits their end."""
    script = f"setsid sleep 60 & echo $$ $! > {fifo}; wait"
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, key, script], cwd=ROOT)
    pids = [int(pid) for pid in (await anyio.to_thread.run_sync(fifo.read_text)).split()]
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    assert [is_alive(pid) for pid in pids] == [True, True]

    await driver.end(shell(driver, script, key=key))

    assert [is_alive(pid) for pid in pids] == [False, False]


# --- settling -------------------------------------------------------------------------------------------------------


async def test_the_check_command_settles_an_unknown_outcome(driver: Command) -> None:
    """0 is done, 1 is not done, anything else cannot tell."""
    findings = [
        await driver.find(call_of(driver, "run", {"argv": ["false"], "check": ["sh", "-c", script]}))
        for script in ("echo x; exit 0", "exit 1", "echo broken >&2; exit 2", "kill -TERM $$")
    ]

    assert findings[:2] == [Done({"exit_code": 0, "stdout": "", "stderr": ""}), NotDone()]
    assert [type(finding) for finding in findings[2:]] == [Unclear, Unclear]
    assert "exited with code 2" in str(findings[2])
    assert "broken" in str(findings[2])
    assert "SIGTERM" in str(findings[3])


async def test_a_check_that_cannot_run_leaves_it_open(driver: Command) -> None:
    """It is no proof of anything, and an exception would be none either."""
    finding = await driver.find(call_of(driver, "run", {"argv": ["true"], "check": ["sagad-nowhere"]}))
    without = await driver.find(call_of(driver, "run", {"argv": ["true"]}))

    assert isinstance(finding, Unclear)
    assert "sagad-nowhere" in finding.why
    assert isinstance(without, Unclear)


async def test_a_check_that_cannot_run_just_now_is_asked_again(driver: Command, tmp_path: Path) -> None:
    """Descriptors or memory used up, a program that is being written: that is over soon, and then it can be found out."""
    check = tmp_path / "check"
    check.write_text("#!/bin/sh\nexit 0\n")
    check.chmod(0o755)
    asked = call_of(driver, "run", {"argv": ["true"], "check": [str(check)]})
    with check.open("a"), pytest.raises(Ended) as busy:
        await driver.find(asked)

    assert isinstance(busy.value.outcome, Working)
    assert "Text file busy" in busy.value.outcome.detail
    assert await driver.find(asked) == Done({"exit_code": 0, "stdout": "", "stderr": ""})


def test_only_with_a_check_can_it_be_found(driver: Command) -> None:
    """The declaration follows the arguments."""
    plain = driver.refine("run", call_of(driver, "run", {"argv": ["true"]}).arguments)
    checked = driver.refine("run", call_of(driver, "run", {"argv": ["true"], "check": ["true"]}).arguments)

    assert (plain.finds, plain.repeat, plain.changes, plain.inverse) == (False, "no", True, "none")
    assert (checked.finds, checked.repeat, checked.changes, checked.inverse) == (True, "find", True, "none")


# --- what may be run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/usr/bin/env", "env", "/bin/env", "/usr/../usr/bin/env"])
def test_an_allowed_program_may_be_run_by_any_of_its_names(name: str) -> None:
    """A bare name is looked up on a fixed path, and folders are resolved."""
    driver = Command({"allow": ["/usr/bin/env"]}, NoBlobs())
    if not Path("/bin").is_symlink() and name == "/bin/env":
        pytest.skip("/bin and /usr/bin are not one folder here")

    assert problems_of(driver, "run", {"argv": [name]}) == []


@pytest.mark.parametrize("name", ["/bin/sh", "sh", "/usr/bin/env/../sh", "/tmp/env", "./env", "bin/env", ""])
def test_other_programs_are_refused(name: str) -> None:
    """The message names the rule, the value and the remedy."""
    driver = Command({"allow": ["/usr/bin/env"]}, NoBlobs())
    (problem,) = problems_of(driver, "run", {"argv": [name]})

    assert problem.startswith(f"argv: `{name}`")
    assert "[providers.command]" in problem or "absolute path" in problem


async def test_what_is_refused_does_not_run_either(tmp_path: Path) -> None:
    """Also where nobody has asked check()."""
    driver = Command({}, NoBlobs())
    with pytest.raises(Ended, match="may not be run; allowed is nothing"):
        await driver.apply(call_of(driver, "run", {"argv": ["touch", f"{tmp_path}/x"]}))

    assert list(tmp_path.iterdir()) == []


def test_a_link_to_an_allowed_program_is_another_program(tmp_path: Path) -> None:
    """In a busybox `ls` and `sh` are links to one file; allowing one is not allowing the other."""
    (tmp_path / "busybox").symlink_to("/bin/sh")
    (tmp_path / "ls").symlink_to("busybox")
    driver = Command({"allow": [f"{tmp_path}/ls"]}, NoBlobs())

    assert problems_of(driver, "run", {"argv": [f"{tmp_path}/ls"]}) == []
    assert problems_of(driver, "run", {"argv": [f"{tmp_path}/busybox"]}) != []


def test_a_program_that_an_earlier_step_installs_may_be_named_beforehand() -> None:
    """Whether it is there is known only when the step runs."""
    driver = Command({"allow": ["/usr/sbin/sagad-nowhere"]}, NoBlobs())

    assert problems_of(driver, "run", {"argv": ["sagad-nowhere"]}) == []
    assert problems_of(driver, "run", {"argv": ["sagad-elsewhere"]}) != []


def test_every_problem_is_named_at_once(driver: Command) -> None:
    """What execve would refuse, and what would take the mark away, is refused before anything runs."""
    problems = problems_of(
        driver,
        "run",
        {
            "argv": ["true", "a\0b"],
            "cwd": "here",
            "env": {"": "1", "A=B": "2", processes.MARK: "x"},
            "check": ["./check"],
        },
    )

    assert [problem.split(" ")[0] for problem in problems] == ["a", "cwd:", "env:", "env:", "env:", "check:"]


def test_a_command_needs_a_program(driver: Command) -> None:
    """An empty list, a true and an unknown key are refused where arguments are decoded."""
    refused: list[dict[str, Any]] = [
        {"argv": []},
        {"argv": ["echo", True]},
        {"argv": ["echo"], "shell": True},
    ]
    for arguments in refused:
        with pytest.raises(msgspec.ValidationError):
            call_of(driver, "run", arguments)
