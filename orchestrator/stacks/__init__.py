"""Stacks: what it takes to bring what is there to what a stack file wants.

``looking`` reads what is there, ``known`` says what the references of a file come to, ``changes`` compares and chooses
(pure), ``planning`` goes through the file with them, ``steps`` makes a saga file of the actions (pure). Who may come
in: ``orchestrator.applying``.
"""
