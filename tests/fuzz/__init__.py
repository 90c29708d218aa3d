"""Bad input for the real daemon: requests by its own description, files that are nearly right, clients that misbehave.

    python -m tests.fuzz --cases 20000        (make fuzz CASES=20000)

`api` asks every route what schemathesis makes up from openapi.json, in every role. `files` writes saga, stack and batch
files that are right but for something, in YAML, TOML and JSON. `clients` are slow, stop half-way, send too much, or
never read. What is wrong goes into a list, with what it takes to see it again.
"""
