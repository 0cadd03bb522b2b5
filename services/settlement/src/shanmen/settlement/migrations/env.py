"""Alembic's environment of settlement."""

from shanmen.common.migrate import run_env

run_env()
