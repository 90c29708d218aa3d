"""What is on disk and how it gets there: records, the journal (the only writer), queries, blobs, secrets.

The store knows nothing of drivers and nothing of what a saga may do next; it keeps what the actors decided and gives
it back. Who may come in: ``actors`` and ``orchestrator``.
"""
