"""What the operator can set, and where things lie on this machine: settings, paths and durations.

Everyone may come in; nobody is visited from here, and nothing but the standard library and msgspec is loaded.
The command line takes only `config.paths`, which loads next to nothing.
"""
