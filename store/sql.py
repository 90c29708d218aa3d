"""The named queries of queries.sql."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files


@cache
def queries() -> dict[str, str]:
    """Read queries.sql: each query by its name."""
    text = files("store").joinpath("queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: _bare(sql) for name, sql in zip(parts[::2], parts[1::2], strict=True)}


def _bare(sql: str) -> str:
    return "\n".join(line for line in sql.splitlines() if line and not line.startswith("--"))
