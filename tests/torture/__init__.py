"""The real daemon under everything that a bad week can bring, and the laws looked at from outside.

    python -m tests.torture --minutes 10      (make torture MINUTES=10)

Rounds of load (`sagas`, `operators`) over real files, processes and the fake DigitalOcean (`world`, `cloud`), while the
daemon is killed, stopped and starved (`blows`, `ordeals`). At the end of each round everything must come to an end by
itself or by an operator's word; then the laws (`laws`) are held against the files, the commands' own log and the
fake's objects. `run` puts it together; a violation leaves the folder for looking at.
"""
