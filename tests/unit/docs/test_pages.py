"""What the pages say of the code is so: every file, function, command and target that they name exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from actors.saga.contents import Contents
from actors.saga.events import EVENTS
from orchestrator.cli.app import SECTIONS
from orchestrator.files.batch import compile_batch
from orchestrator.files.compile import Compiler
from orchestrator.files.load import load
from orchestrator.files.stack import compile_stack
from providers import registry
from store.blobs import Blobs
from tests.unit.docs import events, tour

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PATH = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.(?:py|md|yaml|toml|sql|service|socket|conf)|(?:[\w.-]+/)+[\w.-]+/?")

ROOMS = ("orchestrator", "actors", "store", "providers", "config", "tests", "systemd", "examples")

page_by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def prose(page: Path) -> str:
    """Give a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def quoted(page: Path) -> list[str]:
    """Give what stands in backticks in a page, with line breaks as the spaces that they stand for."""
    return [" ".join(each.split()) for each in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]


def links(page: Path) -> list[str]:
    """Give where a page's links lead, but for other sites."""
    found = re.findall(r"\]\(([^)#]+)", prose(page))
    return [each for each in found if "://" not in each]


@cache
def names(path: Path) -> frozenset[str]:
    """Give what a Python file defines: functions, classes and constants, and what is in its classes."""
    return frozenset(_defined(ast.parse(path.read_text()).body))


def _defined(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for each in body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + each.name
        if isinstance(each, ast.ClassDef):
            yield from _defined(each.body, f"{prefix}{each.name}.")
        if isinstance(each, ast.Assign):
            yield from (prefix + target.id for target in each.targets if isinstance(target, ast.Name))
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield prefix + each.target.id


def test_there_are_pages() -> None:
    """The README and those that it names."""
    assert {"README.md", "architecture.md", "events.md"} <= {page.name for page in PAGES}


@page_by_page
def test_every_link_leads_somewhere(page: Path) -> None:
    """A file or a folder of this project."""
    gone = [link for link in links(page) if not (page.parent / link).exists()]

    assert gone == []


@page_by_page
def test_every_path_named_exists(page: Path) -> None:
    """Seen from the project's root; a bare file's name may be anywhere in the rooms and the tests. Beside it: not ours."""
    paths = {each.partition(":")[0] for each in quoted(page) if not each.startswith("../")}
    bare = {path.name for room in ROOMS for path in (ROOT / room).rglob("*")}
    gone = [
        each
        for each in paths
        if PATH.fullmatch(each) and not (ROOT / each).exists() and ("/" in each or each not in bare)
    ]

    assert gone == []


@page_by_page
def test_every_function_named_exists(page: Path) -> None:
    """`file.py:name` is a function, a class, a method or a constant of that file."""
    pairs = [each.split(":", 1) for each in quoted(page) if re.fullmatch(r"[\w/]+\.py:[\w.]+", each)]
    gone = [f"{path}:{name}" for path, name in pairs if name not in names(ROOT / path)]

    assert gone == []


@page_by_page
def test_every_command_named_exists(page: Path) -> None:
    """`sagactl VERB` and `make TARGET`, in the prose and in what is typed."""
    text = page.read_text().partition("## What it does not do yet")[0]
    verbs = {verb for section in SECTIONS.values() for verb in section}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = re.findall(r"(?:`|\$ )sagactl ([a-z]+)", text)
    made = re.findall(r"(?:^|`|\$ )make ([a-z-]+)", text, re.MULTILINE)

    assert set(said) - verbs == set()
    assert set(made) - targets == set()


def test_the_events_are_those_of_the_code() -> None:
    """`python -m tests.unit.docs.events` writes the page."""
    assert events.PAGE.read_text() == events.page()
    assert [name for name in EVENTS if f"| `{name}` |" not in events.page()] == []


def test_every_table_of_the_database_is_explained() -> None:
    """In the architecture's table of tables."""
    tables = re.findall(r"^CREATE TABLE (\w+)", (ROOT / "store/schema.sql").read_text(), re.MULTILINE)
    said = quoted(ROOT / "docs/architecture.md")

    assert [table for table in tables if table not in said] == []


def test_the_saga_file_of_the_readme_compiles(tmp_path: Path) -> None:
    """It is there to be copied. The mistaken one has its mistakes."""
    blobs = Contents(Blobs(tmp_path / "blobs", b"k" * 32))
    compiler = Compiler(registry.load({"command": {"allow": ["*"]}}, blobs))
    sagas = [block for block in tour.blocks(tour.README.read_text()) if block.body.startswith("saga:")]
    compiled = {block.body.split()[1]: compiler.source(block.body, format="yaml") for block in sagas}

    assert [*map(str, compiled["publish-site"].problems), *map(str, compiled["bell"].problems)] == []
    assert compiled["mistaken"].problems != ()


def test_the_stack_file_of_the_readme_compiles(tmp_path: Path) -> None:
    """It is there to be copied."""
    drivers = registry.load({}, Contents(Blobs(tmp_path / "blobs", b"k" * 32)))
    stacks = [block.body for block in tour.blocks(tour.README.read_text()) if block.body.startswith("stack:")]
    found = [compile_stack(load(each, format="yaml"), drivers) for each in stacks]

    assert [[each.name for each in one.resources] for one in found] == [["folder", "page"]]


def test_the_batch_files_of_the_readme_compile(tmp_path: Path) -> None:
    """With the saga files that it shows, and those of the examples."""
    compiler = Compiler(
        registry.load({"command": {"allow": ["*"]}}, Contents(Blobs(tmp_path / "blobs", b"k" * 32)))
    )
    blocks = tour.blocks(tour.README.read_text())
    files = {Path(block.path).name: block.body for block in blocks if block.path}
    files |= {path.name: path.read_text() for path in (ROOT / "examples").glob("*.yaml")}
    batches = [block.body for block in blocks if block.body.startswith("batch:")]
    found = [compile_batch(load(each, format="yaml"), files, compiler, None) for each in batches]

    assert len(found) == 2
    assert [str(problem) for each in found for problem in (*each.problems, *each.warnings)] == []
