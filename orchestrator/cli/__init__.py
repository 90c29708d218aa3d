"""``sagactl``: words on a terminal to requests on the daemon's socket, and answers to tables, trees and exit codes.

It knows SPEC §8's documents and nothing of the engine; of the other rooms it visits only ``config``, for where the
socket lies and how durations are written. It starts with every command that somebody types, so it loads nothing that
the command does not need: each command is its own module's, and rich is imported only where it draws.
"""

from orchestrator.cli.entry import main

__all__ = ["main"]
