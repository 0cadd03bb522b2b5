"""Rows, and whose they are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Row, Table

Record: TypeAlias = Row[*tuple[Any, ...]]
Records: TypeAlias = Sequence[Record]

Tenant: TypeAlias = Mapping[str, str]
"""Whose rows: the columns that name the tenant, with their values."""

ANYBODY: Final[Tenant] = {}


def of(table: Table, tenant: Tenant) -> Iterator[ColumnElement[bool]]:
    """Conditions that leave only a tenant's rows."""
    return (table.c[name] == value for name, value in tenant.items())
