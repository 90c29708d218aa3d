"""The outside world: drivers, one folder or file a family, and the contract that every driver keeps.

Nothing here knows of sagas, the store or the API; the engine (``actors.saga.execute``) calls drivers, and drivers
call nobody back. Who may come in: ``actors`` and ``orchestrator``.
"""
