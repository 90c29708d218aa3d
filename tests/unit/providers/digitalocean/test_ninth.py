"""Adding a ninth type takes one file and one line: here they are, and the new type keeps the drivers' promises."""

from __future__ import annotations

from pathlib import Path

from providers import registry
from providers.digitalocean import TYPES
from tests.conformance import Case, MemoryBlobs, conformance
from tests.unit.providers.digitalocean import ninth
from tests.unit.providers.digitalocean.account import Account
from tests.unit.providers.digitalocean.ninth import Domain

LINE = {"digitalocean.domain": "tests.unit.providers.digitalocean.ninth:Domain"}


def _domain(account: Account) -> None:
    account.ask("POST", "/v2/domains", {"name": "harbour.example"})


test_domain = conformance(
    Domain,
    Account,
    (
        Case("create", "create", {"name": "harbour.example"}),
        Case("taken", "create", {"name": "harbour.example"}, given=_domain, refused="exists"),
        Case("delete", "delete", {"id": "harbour.example"}, given=_domain),
    ),
)


def test_one_line_and_its_file_are_all() -> None:
    """With the line it is there beside the eight, whole; its file is read in one sitting."""
    loaded = registry.load({"digitalocean": {}}, MemoryBlobs(), configured=TYPES | LINE)

    assert len(TYPES) == 8
    assert loaded.refused == {}
    assert {*TYPES, *LINE} <= loaded.drivers.keys()
    assert len(Path(ninth.__file__).read_text().splitlines()) < 60


def test_every_type_is_one_file() -> None:
    """Named in one line, by the type's own name."""
    folder = Path(registry.__file__).parent / "digitalocean"
    for name, place in TYPES.items():
        short = name.removeprefix("digitalocean.")

        assert place.partition(":")[0] == f"providers.digitalocean.{short}"
        assert (folder / f"{short}.py").is_file()
