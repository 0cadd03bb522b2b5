"""Who calls, and whose money the caller may see."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, AwareDatetime

from shanmen.common.auth import Principal, PrincipalKind, requires
from shanmen.common.errors import Invalid
from shanmen.common.pagination import decode_cursor
from shanmen.settlement.errors import NotForThisCaller
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries.rows import ANYBODY, Tenant

_TENANT_COLUMNS: Final[Mapping[PrincipalKind, str]] = {
    PrincipalKind.SPOT: "spot_id",
    PrincipalKind.DISTRIBUTOR: "distributor_id",
}


async def context(request: Request) -> SettlementContext:
    """The service's ports."""
    found: SettlementContext = request.app.state.context
    return found


Ctx = Annotated[SettlementContext, Depends(context)]
Reader = Annotated[Principal, Depends(requires("settlement:read"))]
Bookkeeper = Annotated[Principal, Depends(requires("ledger:read"))]
OptionalId = Annotated[str | None, Query(max_length=64)]

_YEARS: Final = range(2000, 3000)


def is_usual(instant: datetime) -> bool:
    """Whether an instant is one that the database and the calendar can reckon with."""
    return instant.year in _YEARS


def _require_usual(instant: datetime) -> datetime:
    if not is_usual(instant):
        raise ValueError(f"use a time between the years {_YEARS[0]} and {_YEARS[-1]}")
    return instant.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_require_usual)]
"""A point in time, as UTC."""


def tenant_of(principal: Principal, *kinds: PrincipalKind) -> Tenant:
    """Whose rows a caller may see: anybody's for an operator, else its own.

    Raises NotForThisCaller for anybody but an operator and parties of these kinds.
    """
    if principal.is_operator:
        return ANYBODY
    if principal.kind not in kinds or principal.party_id is None:
        raise NotForThisCaller(f"This is not for a token of kind {principal.kind}.")
    return {_TENANT_COLUMNS[principal.kind]: principal.party_id}


def number_of_cursor(cursor: str | None) -> int | None:
    """The number that a cursor stands for, where rows are numbered. Raises Invalid."""
    key = decode_cursor(cursor)
    if key is None:
        return None
    if not (key.isascii() and key.isdecimal() and len(key) < 19):  # a bigint, as we made it
        raise Invalid("Not a cursor; use `next_cursor` of the page before.", field="cursor")
    return int(key)
