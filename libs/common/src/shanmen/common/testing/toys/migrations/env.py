"""Alembic's entry."""

from shanmen.common.migrate import run_env

run_env()
