"""From the shell and back: runs a command and turns every way in which it can end into an exit code and plain words."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from orchestrator.cli.failures import ERROR, INTERRUPTED, Failure

if TYPE_CHECKING:
    import click

    from orchestrator.cli.session import Session


def main() -> int:
    """Run sagactl; the exit code. A traceback that a user sees is a bug, so none gets past this."""
    _open_closed()
    _do_without_tls()
    from orchestrator.cli.session import Session

    session = Session()
    try:
        code = _run(session)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # `sagactl ls | head` has seen enough: no complaint, as in click, which meets most of these first.
        _drop_output()
        return ERROR
    except OSError as error:
        _drop_output()
        _complain([*_of_the_machine(error), *_done_all_the_same(session)])
        return ERROR
    except Exception as error:  # noqa: BLE001 - the last resort; everything that is foreseen is in _run
        return _bug(error)


def _open_closed() -> None:
    """Give what the shell has closed (`>&-`) to nobody: else the socket would become stdout."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - stdin, stdout, stderr
        pass
    os.close(opened)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115


def _done_all_the_same(session: Session) -> list[str]:
    """Say what was done though it could not be told: whoever does not know would do it again."""
    done = session.client.done
    if done is None:
        return []
    return [f"it was done all the same ({done}): do not ask for it again, `sagactl ls` tells"]


def _run(session: Session) -> int:
    import click

    from orchestrator.cli.app import program
    from orchestrator.cli.text import harden

    harden()
    try:
        code = program.main(prog_name="sagactl", standalone_mode=False, obj=session)
        return code if isinstance(code, int) else 0
    except Failure as failure:
        _complain(failure.lines)
        return failure.exit_code
    except click.Abort:
        _complain(["interrupted"])
        return INTERRUPTED
    except click.ClickException as error:
        return _misused(error)
    finally:
        _mention_version(session)


def _of_the_machine(error: OSError) -> list[str]:
    """Say what could not be done: what has no name is a stream, and the answer is what goes into one."""
    if error.filename is None:
        return [f"cannot write the answer: {error.strerror or error}"]
    return [f"{error.filename}: {error.strerror}", "see what it is, and whether this user may use it"]


def _misused(error: click.ClickException) -> int:
    from click.exceptions import NoArgsIsHelpError, UsageError

    if isinstance(error, NoArgsIsHelpError):
        error.show()
        return error.exit_code
    path = error.ctx.command_path if isinstance(error, UsageError) and error.ctx else "sagactl"
    _complain([error.format_message(), f"see: {path} --help"])
    return error.exit_code


def _complain(lines: list[str]) -> None:
    from orchestrator.cli.text import clean

    try:
        sys.stderr.write("\n  ".join(["error: " + clean(lines[0]), *map(clean, lines[1:])]) + "\n")
        sys.stderr.flush()
    except OSError:  # nobody can be told then, but for the exit code
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _bug(error: Exception) -> int:
    if os.environ.get("SAGACTL_DEBUG"):
        import traceback

        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    _complain([f"this is a bug in sagactl: {what}", "SAGACTL_DEBUG=1 shows where; please report it"])
    return ERROR


def _mention_version(session: object) -> None:
    client = vars(session).get("client")  # there only where the command has talked to the daemon
    if client is not None and (theirs := client.other_version):
        from orchestrator import VERSION

        what = (
            f"note: this is sagactl {VERSION}, the daemon is sagad {theirs}; install the same version of both"
        )
        sys.stderr.write(what + "\n")


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _do_without_tls() -> None:
    """Keep http.client from loading OpenSSL, a fifth of the time and memory of a call, for a unix socket.

    http.client is made for Pythons without it. This is the console script's own process, nobody else's.
    """
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
