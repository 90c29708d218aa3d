"""The daemon, put together: lifecycle, saga files, the service's use cases, the API on the socket, the command line.

Everything below is wired here and nowhere else. Nobody imports this room but its own doors ``sagad`` and ``sagactl``.
"""

VERSION = "0.1.0"
"""This release's: written out, for ``importlib.metadata`` takes longer to load than one of sagactl's requests."""
