"""This program's version, where it costs nothing to know: ``importlib.metadata`` takes longer than a whole request."""

VERSION = "0.1.0"
