"""One saga: the pure machine that decides, the actor that carries it, the code that drives one execution.

``machine`` is the only place that knows what may happen next; the others do as it says. Who may come in: ``actors``
and, for its words (messages, plan, state), ``orchestrator``.
"""
