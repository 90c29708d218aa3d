"""The figures of SPEC §11, measured: `make bench`, or `python -m tests.bench [GROUP …] [--quick] [--write FILE]`.

Real daemons (``tests.daemon``), each with a folder of its own beside the project, at `synchronous=FULL`, logging to a
file at the level that they have by default, asked through the socket by a process of its own (``client``).
"""
