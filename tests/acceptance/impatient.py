"""A daemon that finds a saga overlooked after a moment instead of a minute."""

from __future__ import annotations

from orchestrator import health
from orchestrator.daemon import main

if __name__ == "__main__":
    health.OVERLOOKED = 50
    main()
