"""docs/machine.md agrees with the tables it is drawn from."""

from actors.saga import state
from actors.saga.machine import SAGA, STEP
from tests.machine.diagrams import DOC, drawn


def test_the_diagrams_are_the_tables() -> None:
    """`python -m tests.machine.diagrams` would change nothing."""
    text = DOC.read_text()

    assert drawn(text) == text


def test_the_tables_have_every_status() -> None:
    """A row for each, and no row for anything else."""
    assert tuple(SAGA) == ("pending", "running", "compensating", "completed", "rolled_back", "failed")
    assert set(SAGA) == set(state.Status.__args__)  # type: ignore[attr-defined]
    assert set(STEP) == set(state.StepStatus.__args__)  # type: ignore[attr-defined]


def test_the_document_names_every_phase() -> None:
    """Each phase of an execution has its row."""
    text = DOC.read_text()

    assert all(f"| `{phase}` |" in text for phase in state.Phase.__args__)  # type: ignore[attr-defined]
