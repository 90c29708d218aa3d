"""What is wrong with the settings: every problem at once, each with its place and what to do."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: `where` it is, what it is, and a `hint` how to mend it (SPEC §8, `errors`)."""

    where: str
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" + (f" ({self.hint})" if self.hint else "")


class SettingsError(Exception):
    """The settings cannot be used, for these reasons."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Say which of the known names was probably meant, or else which there are: in their order, if they have one."""
    from difflib import get_close_matches  # 3 ms, for who has made a mistake

    names = sorted(known) if isinstance(known, AbstractSet) else list(known)
    if near := get_close_matches(wrong, names, n=1):
        return f"did you mean `{near[0]}`?"
    return f"known here: {', '.join(names)}"
