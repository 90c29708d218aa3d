"""Takes a snapshot of a droplet at the real DigitalOcean, and rolls that back. `make live` runs this.

It is for whoever has a token, and is no part of the tests. It needs in the environment:

    DIGITALOCEAN_TOKEN      a token that may read droplets and actions, and make and delete snapshots
    DIGITALOCEAN_DROPLET    the id of a droplet; nothing is changed of it, but a snapshot is taken, for minutes

A snapshot costs by its size and hours; the saga's rollback deletes it again. The daemon, its record and the token are in a
temporary folder that goes with them: if this is cut short, look for a snapshot called `sagad-snap-<droplet>-...` yourself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from examples.demo import Node, Told, run

SERVICE = "https://api.digitalocean.com"
SETTINGS = """\
[daemon]
state_dir = "{{folder}}/state"
socket = "{{folder}}/sagad.sock"

[secrets]
dir = "{{folder}}/secrets"

[providers.digitalocean]
token = "do-token"
base_url = "{service}"
"""
PROVEN = "a snapshot was taken, found, and deleted again"
USAGE = 2


def missing(environ: Mapping[str, str]) -> str:
    """Say what is missing in the environment, and what to do; nothing where it is all there."""
    if not environ.get("DIGITALOCEAN_TOKEN"):
        return "make live needs a token of DigitalOcean's: DIGITALOCEAN_TOKEN=dop_v1_... DIGITALOCEAN_DROPLET=3164444 make live"
    droplet = environ.get("DIGITALOCEAN_DROPLET", "")
    if not droplet.isdecimal():
        what = f"`{droplet}` is none" if droplet else "none is named"
        return f"make live needs the id of a droplet, a number, of which it takes a snapshot, and {what}: DIGITALOCEAN_DROPLET=3164444 make live"
    return ""


def tell(environ: Mapping[str, str], node: Node, told: Told) -> None:
    """Take the snapshot, look at it, roll it back."""
    keep(node.site.parent, environ["DIGITALOCEAN_TOKEN"])
    droplet = environ["DIGITALOCEAN_DROPLET"]
    told.say(f"A daemon in {node.site.parent}, and droplet {droplet} at {service(environ)}.\n")
    node.start()
    code = node.ctl("submit", "examples/digitalocean/snapshot.yaml", "-i", f"droplet={droplet}", "--wait")
    node.ctl("show", "last")
    saga = node.ask("show", "last")
    told.say()
    told.claim("the snapshot was taken", (code, saga["status"]) == (0, "completed"))
    if saga["status"] != "completed":
        told.say(f"  {saga['error'] or saga['hold']}")
        return
    name = saga["steps"][0]["output"]["name"]
    told.claim(f"it is called {name}", name.startswith(f"sagad-snap-{droplet}-"))
    told.say()
    code = node.ctl("rollback", saga["id"], "--yes", "--wait")
    node.ctl("show", saga["id"])
    told.say()
    told.claim("it is deleted again", code == 0 and node.ask("resources", "ls")["resources"] == [])


def keep(folder: Path, token: str) -> None:
    """Put the token where the daemon reads it, and nobody else."""
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    file = secrets / "do-token"
    file.touch(mode=0o600)
    file.write_text(token)


def service(environ: Mapping[str, str]) -> str:
    """Give the service's address; another one than the real one is for trying this program out."""
    return environ.get("DIGITALOCEAN_API_URL") or SERVICE


def main() -> int:
    """Run it; give the exit code."""
    if why := missing(os.environ):
        print(why, file=sys.stderr)
        return USAGE
    return run(partial(tell, os.environ), SETTINGS.format(service=service(os.environ)), PROVEN)


if __name__ == "__main__":
    sys.exit(main())
