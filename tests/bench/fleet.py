"""Many resources of many types, and who lists them: `python -m tests.bench.fleet …` is sagad with drivers for them.

The drivers are those of DigitalOcean with another shape, so that what a sweep costs is all in it: requests over a socket,
pages of JSON, images, normalisation. The service is a process of its own, as anybody's would be.
"""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

import msgspec

from providers.contract import Call, Driver, Outcome, Planned, Value, Verb
from providers.digitalocean.client import Thing
from providers.digitalocean.driver import CloudDriver

TYPES = 20
TOKEN = "fleet-token"


class Update(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change."""

    id: str
    size: str | None = None


class Ship(CloudDriver):
    """One of many."""

    one, many = "ship", "ships"
    verbs: ClassVar[Mapping[str, Verb]] = {
        "update": Verb(arguments=Update, outputs={"id": str}, inverse="update", finds=True, settle=60_000)
    }

    def shown(self, thing: Thing) -> dict[str, Value]:
        """Give what the service tells."""
        return {name: thing[name] for name in ("name", "size", "region", "tags", "rules", "created_at")}

    def normalise(self, field: str, value: Value) -> Value:
        """Compare tags as a set."""
        return sorted(value or []) if field == "tags" else value

    async def marked(self, call: Call) -> Thing | None:
        """Find none: none is ever made."""
        return None

    async def plan_new(self, call: Call) -> Planned:
        """Plan nothing: none is ever made."""
        raise NotImplementedError

    async def make(self, call: Call) -> Outcome:
        """Make none."""
        raise NotImplementedError


def type_of(number: int) -> str:
    """Give the name of a type."""
    return f"digitalocean.ship{number:02}"


def drivers() -> list[type[Driver]]:
    """Give the drivers of all types."""
    return [
        type(
            f"Ship{number:02}",
            (Ship,),
            {"type": type_of(number), "collection": f"ships{number:02}", "__doc__": Ship.__doc__},
        )
        for number in range(TYPES)
    ]


def ship(type_: int, number: int) -> dict[str, Any]:
    """Give one, as the service shows it; every hundredth has another size than it should."""
    return {
        "id": f"{type_:02}-{number:06}",
        "name": f"ship-{type_}-{number}",
        "size": "large" if number % 100 == 7 else "small",
        "region": "nyc3",
        "tags": [f"tag-{number % 7}", "fleet"],
        "rules": [
            {"port": str(80 + each), "sources": {"addresses": ["0.0.0.0/0", "::/0"]}} for each in range(3)
        ],
        "created_at": "2026-11-21T00:00:00Z",
        "filler": "x" * 800,
    }


@contextmanager
def service(resources: int) -> Iterator[tuple[str, Callable[[], int]]]:
    """Serve them; give the address, and what tells how often it was asked."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, resources // TYPES), daemon=True
    )
    process.start()
    try:
        address = ours.recv()
        yield address, lambda: int(urlopen(f"{address}/asked").read())
    finally:
        process.terminate()
        process.join()


def _serve(told: Connection, each: int) -> None:
    import asyncio

    from aiohttp import web

    pages: dict[tuple[str, int, int], bytes] = {}

    def page(type_: str, size: int, number: int) -> bytes:
        first = (number - 1) * size
        ships = [ship(int(type_), at) for at in range(first, min(first + size, each))]
        links = {"pages": {"next": "more"}} if first + size < each else {}
        return json.dumps({"ships": ships, "links": links}).encode()

    asked = 0

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal asked
        if request.path == "/asked":
            return web.Response(text=str(asked))
        asked += 1
        key = (
            request.path.removeprefix("/v2/ships"),
            int(request.query["per_page"]),
            int(request.query["page"]),
        )
        body = pages.get(key) or pages.setdefault(key, page(*key))
        return web.Response(body=body, content_type="application/json")

    async def run() -> None:
        runner = web.ServerRunner(web.Server(handle, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        told.send(f"http://{host}:{port}")
        await asyncio.Event().wait()

    asyncio.run(run())


def fill(database: Path, resources: int) -> None:
    """Put them on record, without the daemon: all of them small, in another order of tags, and ports as numbers."""
    with closing(sqlite3.connect(database)) as db, db:
        for type_ in range(TYPES):
            rows = (_row(type_, number) for number in range(resources // TYPES))
            db.executemany(
                "INSERT INTO resources (identity, type, name, id, spec, spec_version, outputs, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, 1, ?, 1, 1)",
                rows,
            )


def _row(type_: int, number: int) -> tuple[Any, ...]:
    about = ship(type_, number)
    spec = {name: about[name] for name in ("name", "region")} | {"size": "small", "tags": about["tags"][::-1]}
    spec["rules"] = [each | {"port": int(each["port"])} for each in about["rules"][::-1]]
    outputs = json.dumps({"id": about["id"]}).encode()
    return about["id"], type_of(type_), about["name"], about["id"], json.dumps(spec).encode(), outputs


if __name__ == "__main__":
    from providers import digitalocean

    for made in drivers():
        globals()[made.__name__] = made
        digitalocean.TYPES[made.type] = f"__main__:{made.__name__}"
    from orchestrator.daemon import main

    main(sys.argv[1:])
