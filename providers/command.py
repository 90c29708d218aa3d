"""`command.run`: one program, started without a shell, its answer taken at its word.

The child is in a session of its own and carries SAGAD_EXECUTION, so that it can be found and ended also by the daemon
after this one (`providers.processes`). It sees a small environment of its own, never the daemon's.

How an attempt ends (SPEC §3, §4):

    could not be started         failed: nothing ran
    exit code 0                  succeeded; what it left running on purpose (it started a service) is left alone
    another exit code            failed, by the command's own word; what it left running is ended, so that a repeat
                                 does not run beside it
    ended by a signal            unknown: it said nothing
    cancelled                    the whole session is ended and awaited, then the cancellation goes on
"""

import codecs
import errno
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, ClassVar

import anyio
import msgspec

from providers import processes
from providers.contract import (
    Call,
    Done,
    Driver,
    Ended,
    Failed,
    Finding,
    NotDone,
    Outcome,
    Succeeded,
    Unclear,
    Unknown,
    Verb,
    Working,
    cut,
    ending,
)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a bare program name is looked up, and the PATH that the child sees."""

KEPT = 64 * 1024
"""Bytes kept of each output stream: its first half and its last."""

LINGER = 0.1
"""Seconds for which output is still read after the child has exited: a service that it has started may hold the
streams open for years."""

SWEEP = 32
"""Reads that take the most that a pipe can hold (1 MiB by default, pipe(7)); a service may go on writing for ever."""

TAIL = 2000
"""Characters of the error stream that an error's text repeats."""

CONTINUING = bytes(range(0x80, 0xC0))
"""With these no character of UTF-8 begins."""

STEERING = {
    "ld.so(8), iconv(1), mallopt(3), locale(7)": "LD_* GLIBC_* GCONV_* MALLOC_* LOCPATH NLSPATH",
    "bash(1), dash(1), zsh(1)": "BASH* SHELLOPTS PS4 IFS ENV PROMPT_COMMAND CDPATH ZDOTDIR FPATH",
    "environ(7): where programs and their settings are looked up": "PATH HOME SHELL XDG_*",
    "environ(7), sensible-browser(1), less(1): run as programs": "EDITOR VISUAL *PAGER BROWSER LESS*",
    "ssh(1), sudo(8), systemctl(1)": "SSH_ASKPASS* SUDO_* SYSTEMD_*",
    "git(1), make(1), vim(1), psql(1)": "GIT_* MAKE* MFLAGS VIM* EXINIT PSQL*",
    "python(1)": "PYTHON*",
    "perlrun(1)": "PERL*",
    "ruby(1), gem(1), bundle(1)": "RUBY* GEM_* BUNDLE_*",
    "node(1), npm-config(7)": "NODE_* NPM_CONFIG_*",
    "java(1)": "JAVA* _JAVA_* JDK_* CLASSPATH",
    "lua(1), php(1), R(1), tclsh(1), gawk(1), guile(1), erl(1)": "LUA* PHP* R_* TCL* AWK* GUILE_* ERL_*",
    "openssl-env(7)": "OPENSSL_*",
}
"""Variables, by where they are described, that tell a program what to run or load beside its own code; in capitals or not.

Whole families: new releases bring new ones. What only happens to be called so can be set in a script.
"""

PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY}
"""Reasons for which a program could not be started that may be over soon."""

Word = str | int | float
"""A reference that is a whole string keeps its type, so `${inputs.uid}` among the words is a number."""

Words = Annotated[list[Word], msgspec.Meta(min_length=1)]


class Run(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run. `check` is a second command that settles an unknown outcome: 0 done, 1 not done."""

    argv: Words
    env: dict[str, Word] = {}
    cwd: str = "/"
    stdin: str = ""
    check: Words | None = None


class Command(Driver):
    """Runs programs."""

    type = "command"
    version = "1.0"
    summary = "runs a program, without a shell"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "run": Verb(
            arguments=Run,
            outputs={"exit_code": int, "stdout": str, "stderr": str},
            inverse="none",
            repeat="no",
            summary="run a program and take its exit code for its word; `check` finds out what is unknown",
        ),
    }

    def settle_in(self, settings: Mapping[str, Any]) -> None:
        """Take `allow`: programs by absolute path, or "*" for any. Without it nothing may be run."""
        super().settle_in(settings)
        allow = list(settings.get("allow", ()))
        self._allowed = {_real(program) for program in allow if program != "*"}
        self._anything = "*" in allow

    def refine(self, verb: str, arguments: Run) -> Verb:
        """With a `check` the outcome can be found."""
        if arguments.check is None:
            return self.verbs[verb]
        return msgspec.structs.replace(self.verbs[verb], finds=True, repeat="find")

    def check(self, verb: str, arguments: Run) -> list[str]:
        """Refuse programs that are not allowed, and what no program could be started with."""
        problems = [*self._refusals("argv", arguments.argv), *_impossible(arguments)]
        if not self._anything:
            problems += _led_astray(arguments.env)
        if arguments.check is not None:
            problems += self._refusals("check", arguments.check)
        return problems

    async def apply(self, call: Call) -> Outcome:
        """Run the program and wait until it has exited."""
        argv = _text(call.arguments.argv)
        ended = await self._run(call, argv, stdin=call.arguments.stdin)
        if ended.code == 0:
            return Succeeded({"exit_code": 0, "stdout": ended.stdout, "stderr": ended.stderr})
        if ended.code > 0:
            return Failed("exit_code", f"`{argv[0]}` exited with code {ended.code}{ended.last_words}")
        name = _signal_name(-ended.code)
        return Unknown(
            "signal", f"`{argv[0]}` was ended by {name} before it could say whether{ended.last_words}"
        )

    async def end(self, call: Call) -> None:
        """End and await whatever an earlier attempt of this key, and what it started, left running."""
        await processes.end(call.key)

    async def find(self, call: Call) -> Finding:
        """Ask the `check` command: exit code 0 is done, 1 is not done, anything else leaves it open."""
        if call.arguments.check is None:
            return Unclear("there is no `check` command to ask")
        argv = _text(call.arguments.check)
        try:
            ended = await self._run(call, argv)
        except Ended as refused:
            why = f"its check could not run: {refused}"
            if isinstance(refused.outcome, Failed) and refused.outcome.transient:
                raise Ended(Working(None, detail=why)) from refused  # soon it can: nobody need be asked
            return Unclear(why)
        if ended.code == 0:
            return Done({"exit_code": 0, "stdout": "", "stderr": ""})
        if ended.code == 1:
            return NotDone()
        how = (
            f"exited with code {ended.code}"
            if ended.code > 0
            else f"was ended by {_signal_name(-ended.code)}"
        )
        return Unclear(
            f"its check `{argv[0]}` {how}, which is neither 0 (done) nor 1 (not done){ended.last_words}"
        )

    async def _run(self, call: Call, argv: list[str], stdin: str = "") -> "_Exit":
        """Run to the child's exit. Raises Ended where it cannot be started; when this is left nothing runs on,
        except what a child that exited with 0 has left running.
        """
        program = self._program(argv[0])
        environment = _environment(call.arguments.env, call.key)
        with _started(program, argv, environment, call.arguments.cwd, stdin) as child:
            try:
                ended = await child.wait_exit()
            except BaseException:
                await self._end_shielded(call.key, child)
                raise
            if ended.code != 0:
                await self._end_shielded(call.key, child)
            return ended

    async def _end_shielded(self, key: str, child: "_Child") -> None:
        with anyio.CancelScope(shield=True):
            await processes.end(key, session=child.session)

    def _program(self, name: str) -> str:
        """Give the absolute path of what will be started, or raise Ended."""
        if problems := list(self._refusals("argv", [name])):
            raise Ended(Failed("not_allowed", "; ".join(problems)))
        if "/" in name:
            return _real(name)
        if found := shutil.which(name, path=PATH):
            return _real(found)
        raise Ended(
            Failed("cannot_start", f"there is no program `{name}` in {PATH}: install it or write its path")
        )

    def _refusals(self, where: str, argv: list[Word]) -> Iterator[str]:
        name = str(argv[0])
        if "/" in name and not name.startswith("/"):
            yield f"{where}: `{name}` is relative to nothing: write the program's absolute path or its bare name"
        elif not self._anything and not self._allowed.intersection(_candidates(name)):
            may = ", ".join(sorted(self._allowed)) or "nothing"
            yield (
                f"{where}: `{name}` may not be run; allowed is {may}: "
                "add its absolute path to `allow` in [providers.command]"
            )


# --- words ----------------------------------------------------------------------------------------------------------


def _text(words: list[Word]) -> list[str]:
    return [str(word) for word in words]


def _impossible(arguments: Run) -> Iterator[str]:
    """Name what execve(2) would refuse, or what would take away the mark that the child is found by."""
    texts = _text(
        [*arguments.argv, *(arguments.check or ()), *arguments.env, *arguments.env.values(), arguments.cwd]
    )
    if any("\0" in text for text in texts):
        yield "a NUL character can be neither in an argument, nor in the environment, nor in a path: remove it"
    if not arguments.cwd.startswith("/"):
        yield f"cwd: `{arguments.cwd}` is not absolute: write it from / on"
    for name in arguments.env:
        if not name or "=" in name:
            yield f"env: `{name}` is not a variable's name: it must not be empty or hold `=`"
        if name == processes.MARK:
            yield f"env: {name} is set by sagad: remove it"


def _led_astray(env: Mapping[str, Word]) -> Iterator[str]:
    """Name what would have an allowed program run code that is not its own, so that it could be any program."""
    for name in env:
        if any(fnmatchcase(name.upper(), each) for family in STEERING.values() for each in family.split()):
            yield (
                f"env: {name} may not be set: by variables of this family an allowed program can be had to run other "
                "code; set it in a script of your own that runs the program, and allow that script instead in "
                '[providers.command]; or allow "*", which is any program'
            )


def _candidates(name: str) -> set[str]:
    """Give the paths that a program's name can stand for: the first found one, or any while there is none yet."""
    if "/" in name:
        return {_real(name)}
    if found := shutil.which(name, path=PATH):
        return {_real(found)}
    return {_real(f"{folder}/{name}") for folder in PATH.split(":")}


def _real(program: str) -> str:
    """Resolve the folders, not the last name: /sbin may be /usr/sbin, but `ls` and `sh` may be one busybox."""
    path = Path(program)
    return str(Path(os.path.realpath(path.parent)) / path.name)


def _environment(given: Mapping[str, Word], key: str) -> dict[str, str]:
    own = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": _home()}
    return own | {name: str(value) for name, value in given.items()} | {processes.MARK: key}


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a user that only a container or systemd knows
        return "/"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# --- the child ------------------------------------------------------------------------------------------------------


class _Exit(msgspec.Struct, frozen=True):
    """How the child exited: its exit code, or minus a signal's number, and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """Complete an error's text with the end of what the child wrote."""
        said = ending(self.stderr.strip() or self.stdout.strip(), TAIL)
        return f": {said}" if said else ", and said nothing"


class _Stream:
    """One output stream of the child: read to its end, kept up to a limit."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    async def drain(self) -> None:
        """Read on to the end, also when no more is kept: the child must never wait for a reader."""
        while True:
            await anyio.wait_readable(self._descriptor)
            chunk = os.read(self._descriptor, KEPT)
            if not chunk:
                return
            self._keep(chunk)

    def sweep(self) -> None:
        """Take what is there without waiting: on a busy loop the moment may be over before a reader had its turn."""
        with suppress(BlockingIOError):
            for _ in range(SWEEP):
                if not (chunk := os.read(self._descriptor, KEPT)):
                    return
                self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._size += len(chunk)
        room = KEPT // 2 - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        del self._tail[: -(KEPT // 2)]

    def text(self) -> str:
        """Give what was kept; where something was cut, it says so. A character that the cut went through is cut whole."""
        missing = self._size - len(self._head) - len(self._tail)
        if not missing:
            return (self._head + self._tail).decode("utf-8", errors="replace")
        head = codecs.getincrementaldecoder("utf-8")("replace").decode(self._head)
        tail = self._tail.lstrip(CONTINUING).decode("utf-8", errors="replace")
        return head + cut(f"{missing} bytes") + tail


class _Child:
    """A started program. Waits by pidfd, so that neither a child watcher nor the kind of event loop matters."""

    def __init__(self, popen: subprocess.Popen[bytes], exited: int) -> None:
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.session = popen.pid
        self._popen = popen
        self._exited = exited
        self._stdout = _Stream(popen.stdout.fileno())
        self._stderr = _Stream(popen.stderr.fileno())

    async def wait_exit(self) -> _Exit:
        """Wait until the child itself has exited, and a moment for the rest of what it wrote."""
        async with anyio.create_task_group() as readers:
            readers.start_soon(self._stdout.drain)
            readers.start_soon(self._stderr.drain)
            await anyio.wait_readable(self._exited)
            readers.cancel_scope.deadline = anyio.current_time() + LINGER
        self._stdout.sweep()
        self._stderr.sweep()
        return _Exit(self._popen.wait(), self._stdout.text(), self._stderr.text())


@contextmanager
def _started(
    program: str, argv: list[str], environment: dict[str, str], cwd: str, stdin: str
) -> Iterator[_Child]:
    """Start a program; its end is the caller's to bring about. Raises Ended where it cannot be started."""
    # Leaving `with popen` closes the streams and reaps the child.
    with _spawn(program, argv, environment, cwd, stdin) as popen:
        try:
            exited = os.pidfd_open(popen.pid)
        except OSError:
            popen.kill()  # nobody could wait for it: too many files are open
            raise
        try:
            yield _Child(popen, exited)
        finally:
            os.close(exited)


def _spawn(
    program: str, argv: list[str], environment: dict[str, str], cwd: str, stdin: str
) -> subprocess.Popen[bytes]:
    try:
        with _input(stdin) as standard_input:
            return subprocess.Popen(
                argv,
                executable=program,
                env=environment,
                cwd=cwd,
                stdin=standard_input,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
    except OSError as error:
        raise Ended(_cannot_start(program, error)) from None


@contextmanager
def _input(text: str) -> Iterator[int]:
    """Give a descriptor to read the text from: a file in memory, so that nobody has to feed a slow reader."""
    if not text:
        yield subprocess.DEVNULL
        return
    descriptor = os.memfd_create("stdin")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _cannot_start(program: str, error: OSError) -> Failed:
    # For a missing folder it is the folder that the error names; a script's missing interpreter is the script.
    what = error.filename if isinstance(error.filename, str) else program
    return Failed(
        "cannot_start",
        f"`{program}` could not be started: {what}: {error.strerror}",
        transient=error.errno in PASSING,
    )
