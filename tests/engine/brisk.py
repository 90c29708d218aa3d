"""A daemon that does not ask a service any more after two failures, and asks again after a moment: `python -m …`."""

from __future__ import annotations

from actors import services
from actors.breaker import Rules
from orchestrator.daemon import main

if __name__ == "__main__":
    services.RULES = Rules(failures=2, pause=400, longest=400, again=50)
    main()
