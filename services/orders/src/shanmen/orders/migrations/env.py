"""Alembic's entry to this service's migrations."""

from shanmen.common.migrate import run_env

run_env()
