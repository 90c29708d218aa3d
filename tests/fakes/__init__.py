"""The room for services that sagad talks to and that a test cannot have: each a server on loopback, with a state.

A fake is held against two things that are not ours: the service's own description (the contract), for every exchange
in both directions, and the service's own client, which drives the fake in a test. Its tests are in ``tests/unit/fakes``.
"""
