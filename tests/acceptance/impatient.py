"""A daemon that finds a saga overlooked after a moment instead of a minute."""

from __future__ import annotations

from orchestrator import service
from orchestrator.daemon import main

if __name__ == "__main__":
    service.OVERLOOKED = 50
    main()
