"""Drift: what is really there is held against what sagad keeps, and every difference becomes a record.

The rules are pure (``compare``, ``judge``, ``absence``, ``schedule``, ``reverting``); ``looking`` and ``sweeping`` are the two
jobs of the actor in ``keeper``. Only ``timer`` is loaded with the daemon: the rest when something is due, or somebody asks.
"""
