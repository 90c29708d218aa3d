"""Short ways to write a saga file and to read what is wrong with it."""

from textwrap import indent

from orchestrator.files.document import Document

HEAD = (
    "saga: a\ninputs: {text: {type: string}, n: {type: integer}, many: {type: list}, obj: {type: object}}\n"
)


def steps(*texts: str) -> str:
    """Write a file with these steps, beginning on line 4."""
    return HEAD + "steps:\n" + "".join("- " + indent(text, "  ").lstrip() + "\n" for text in texts)


def said(document: Document) -> list[str]:
    """Give the problems as text."""
    return [str(problem) for problem in document.problems]
