"""The whole daemon in one process: on a virtual clock, a disk that fails and a world that lies, from a seed.

`make simulate SEEDS=n` runs it; docs/reliability.md says what it proves. What is simulated is what the daemon stands
on, and nothing of the daemon itself: `orchestrator.parts.parts` puts it together as `sagad` does.
"""
