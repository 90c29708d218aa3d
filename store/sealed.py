"""How a sensitive output is called: its name among the secrets, and the reference that stands for it.

Apart from the vault, which a node loads only when it has something to look for.
"""

from __future__ import annotations

import re
from typing import Any

_NAME = re.compile(r"[0-9a-hjkmnp-tv-z]{12}\..+", re.DOTALL)
_START, _END = "${secret.", "}"


def name_of(execution: str, output: str) -> str:
    """Give the name under which an output's value is known."""
    return f"{execution}.{output}"


def reference(execution: str, output: str) -> str:
    """Give what stands for an output's value wherever it is written down."""
    return f"${{secret.{execution}.{output}}}"


def is_name(name: str) -> bool:
    """Tell whether a secret's name is that of a sealed output."""
    return _NAME.fullmatch(name) is not None


def referred(text: Any) -> str | None:
    """Give the name of the sealed output that a value is one whole reference to; None where it is none."""
    if not isinstance(text, str) or not text.startswith(_START) or not text.endswith(_END):
        return None
    name = text[len(_START) : -len(_END)]
    return name if is_name(name) and _END not in name else None
