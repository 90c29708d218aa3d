from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from config.settings import Access
from orchestrator import access
from orchestrator.access import ROLES, Caller, Callers, Peer, Role, caller_of, peer_of, require
from orchestrator.api.routes import ROUTES
from orchestrator.problems import NotAllowed

NOBODY = pwd.getpwnam("nobody")
GROUP = grp.getgrgid(NOBODY.pw_gid).gr_name

NEEDED = {
    "GET /v1/sagas": "viewer",
    "GET /v1/sagas/{id}": "viewer",
    "GET /v1/sagas/{id}/why": "viewer",
    "GET /v1/sagas/{id}/executions": "viewer",
    "GET /v1/sagas/{id}/events": "viewer",
    "GET /v1/events": "viewer",
    "GET /v1/audit/verify": "viewer",
    "GET /v1/resources": "viewer",
    "GET /v1/resources/{type}/{name}": "viewer",
    "GET /v1/resources/{type}/{name}/events": "viewer",
    "POST /v1/resources/{type}/{name}/import": "operator",
    "POST /v1/resources/{type}/{name}/forget": "operator",
    "GET /v1/audit/replay": "viewer",
    "GET /v1/audit/events": "viewer",
    "GET /v1/providers": "viewer",
    "GET /v1/health": "viewer",
    "GET /v1/metrics": "viewer",
    "GET /v1/openapi.json": "viewer",
    "POST /v1/validate": "viewer",
    "POST /v1/rehearse": "viewer",
    "POST /v1/sagas": "operator",
    "POST /v1/sagas/{id}/cancel": "operator",
    "POST /v1/sagas/{id}/pause": "operator",
    "POST /v1/sagas/{id}/resume": "operator",
    "POST /v1/sagas/{id}/retry": "operator",
    "POST /v1/sagas/{id}/skip": "operator",
    "POST /v1/sagas/{id}/resolve": "operator",
    "POST /v1/sagas/{id}/approve": "operator",
    "POST /v1/sagas/{id}/reject": "operator",
    "POST /v1/sagas/{id}/rollback": "operator",
    "POST /v1/sagas/{id}/correct": "operator",
    "POST /v1/sagas/{id}/abandon": "admin",
    "GET /v1/batches": "viewer",
    "GET /v1/batches/{id}": "viewer",
    "POST /v1/batches": "operator",
    "POST /v1/batches/{id}/cancel": "operator",
    "POST /v1/batches/{id}/rollback": "operator",
    "POST /v1/plans": "operator",
    "POST /v1/plans/apply": "operator",
    "POST /v1/backup": "admin",
    "GET /v1/doctor": "operator",
    "POST /v1/reload": "admin",
    "POST /v1/drain": "admin",
}


def test_each_route_needs_the_role_that_the_spec_gives_it() -> None:
    """Each route needs the role that the spec gives it."""
    assert {f"{route.method} {route.path}": route.role for route in ROUTES} == NEEDED


def test_each_role_may_what_those_below_it_may() -> None:
    """Each role may what those below it may."""
    may = {role: [needed for needed in ROLES if Caller("x", role).may(needed)] for role in (None, *ROLES)}

    assert may == {
        None: [],
        "viewer": ["viewer"],
        "operator": ["viewer", "operator"],
        "admin": ["viewer", "operator", "admin"],
    }
    assert get_args(Role) == ROLES


@pytest.mark.parametrize(
    ("settings", "role"),
    [
        (Access(), None),
        (Access(viewer=("nobody",)), "viewer"),
        (Access(operator=("nobody",)), "operator"),
        (Access(admin=("nobody",)), "admin"),
        (Access(viewer=(f"@{GROUP}",)), "viewer"),
        (Access(operator=(f"@{GROUP}",), viewer=("nobody",)), "operator"),
        (Access(admin=(f"@{GROUP}",), operator=("nobody",), viewer=("nobody",)), "admin"),
        (Access(operator=(GROUP + "x", "@nosuchgroup", "")), None),
        (Access(viewer=("@nobody",)) if GROUP != "nobody" else Access(), None),
    ],
)
def test_a_peer_has_the_highest_role_that_lists_him(settings: Access, role: Role | None) -> None:
    """A peer has the highest role that lists him."""
    peer = Peer(NOBODY.pw_uid, frozenset({NOBODY.pw_gid}))

    assert caller_of(peer, settings) == Caller("nobody", role)


def test_the_daemons_own_user_is_admin_without_being_named() -> None:
    """The daemons own user is admin without being named."""
    nobody_is_named = Access(admin=(), operator=(), viewer=())

    assert caller_of(Peer(os.getuid(), frozenset()), nobody_is_named).role == "admin"


def test_a_user_whom_the_system_does_not_know_is_called_by_number() -> None:
    """A user whom the system does not know is called by number."""
    peer = Peer(123_456, frozenset())

    assert caller_of(peer, Access()) == Caller("uid:123456", None)
    assert caller_of(peer, Access(viewer=("uid:123456",))).role == "viewer"


@pytest.mark.parametrize(
    ("caller", "needed", "settings", "said"),
    [
        (
            Caller("ann", None),
            "viewer",
            Access(),
            ("ann has no role", "usermod -aG sagad ann", "log in again"),
        ),
        (
            Caller("ann", "operator"),
            "admin",
            Access(),
            ("ann has the role operator", "usermod -aG sagad-admin ann"),
        ),
        (Caller("ann", None), "viewer", Access(viewer=("@look",)), ("group look",)),
        (Caller("ann", None), "operator", Access(operator=("bob",)), ("group sagad-admin",)),
        (Caller("ann", None), "admin", Access(admin=("bob",)), ("[access] admin",)),
        (Caller("uid:7", None), "viewer", Access(), ("uid:7", "[access] viewer")),
    ],
)
def test_who_may_not_is_told_who_he_is_and_how_to_get_the_role(
    caller: Caller, needed: Role, settings: Access, said: tuple[str, ...]
) -> None:
    """Who may not is told who he is and how to get the role."""
    with pytest.raises(NotAllowed) as refused:
        require(caller, needed, settings)

    assert [part for part in said if part not in refused.value.detail] == []


def test_a_peer_is_known_by_what_its_process_is_and_not_by_what_its_user_could_be(tmp_path: Path) -> None:
    """Root's process, with another user, group and supplementary groups."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        tmp_path.chmod(0o777)
        Path(path).chmod(0o777)
        script = (
            "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]);"
            "os.setgroups([1001, 1002]); os.setgid(1003); os.setuid(1004); s.connect('s'); s.recv(1)"
        )
        with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]):
            connection, _ = listening.accept()
            with connection:
                peer = peer_of(connection)

    assert peer == Peer(1004, frozenset({1001, 1002, 1003}))


def test_nobody_knows_who_comes_by_another_kind_of_socket() -> None:
    """Nobody knows who comes by another kind of socket."""
    with socket.socket(socket.AF_INET) as other:
        assert peer_of(other) is None


class Crowded(socket.socket):
    """A connection of whom is in more groups than fit, or whose groups cannot be read for another reason."""

    error = errno.ERANGE

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """Refuse the groups."""
        if option == access.SO_PEERGROUPS:
            raise OSError(self.error, "no")
        return super().getsockopt(level, option, size)


def test_more_groups_than_fit_are_taken_from_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """More groups than fit are taken from the record."""
    monkeypatch.setattr(os, "getgrouplist", lambda *_: [7, 8])
    with Crowded(socket.AF_UNIX) as connection:
        monkeypatch.setattr(struct, "unpack", lambda *_: (1, os.getuid(), 9))
        peer = peer_of(connection)

    assert peer == Peer(os.getuid(), frozenset({7, 8, 9}))


def test_groups_that_cannot_be_read_are_no_groups_to_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups that cannot be read are no groups to guess."""
    monkeypatch.setattr(Crowded, "error", errno.EBADF)
    with Crowded(socket.AF_UNIX) as connection, pytest.raises(OSError, match="no"):
        peer_of(connection)


async def test_a_caller_is_looked_up_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller is looked up once in a while."""
    looked_up: list[Peer] = []
    now = [0.0]

    def look_up(peer: Peer, settings: Access) -> Caller:
        looked_up.append(peer)
        return Caller("x", "viewer")

    monkeypatch.setattr(access, "caller_of", look_up)
    callers = Callers(lambda: settings, lambda: now[0])
    settings, peer = Access(), Peer(1, frozenset())
    assert callers.known(peer) is None
    for _ in range(3):
        await callers.find(peer)
    assert (len(looked_up), callers.known(peer)) == (1, Caller("x", "viewer"))
    now[0] += access.KEPT
    await callers.find(peer)

    assert len(looked_up) == 2


async def test_new_settings_are_new_roles_at_once() -> None:
    """New settings are new roles at once."""
    peer = Peer(NOBODY.pw_uid, frozenset())
    settings = [Access(viewer=("nobody",))]
    callers = Callers(lambda: settings[0])
    before = await callers.find(peer)
    settings[0] = Access()

    assert (before.role, callers.known(peer), (await callers.find(peer)).role) == ("viewer", None, None)


async def test_what_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept has a limit."""
    monkeypatch.setattr(access, "MOST_KEPT", 3)
    settings = Access()
    callers = Callers(lambda: settings)
    peers = [Peer(900_000 + number, frozenset()) for number in range(10)]
    for peer in peers:
        await callers.find(peer)

    assert sum(callers.known(peer) is not None for peer in peers) <= 3
