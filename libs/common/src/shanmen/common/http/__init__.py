"""HTTP conventions of every service: problems, idempotent calls, bounded bodies, Prefer."""
