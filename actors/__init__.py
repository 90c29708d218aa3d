"""Everything that lives and receives messages: saga actors, their supervisor, the directory that finds and wakes them.

An actor is a mailbox and a pure machine; what it decides is committed by ``store.journal`` before anyone sees it. Who
may come in: ``orchestrator``, by messages sent through the directory.
"""
