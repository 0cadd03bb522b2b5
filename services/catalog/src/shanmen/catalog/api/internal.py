"""Routes for our own services only; not reachable through the edge."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form

from shanmen.catalog.api.callers import Ctx, PathId
from shanmen.catalog.domain import AccountRole
from shanmen.catalog.queries import parties as queries
from shanmen.catalog.schemas import Introspection
from shanmen.catalog.usecases.reservations import reserve_stock
from shanmen.common.auth import Principal, requires
from shanmen.common.errors import NotFound
from shanmen.contracts.catalog import (
    AccountDetails,
    ContactDetails,
    ReceiverDetails,
    ReservationResults,
    ReserveStockBatch,
)
from shanmen.contracts.terms import AccountRef

router = APIRouter()


@router.post("/internal/reservations", include_in_schema=False)
async def reserve(
    body: ReserveStockBatch,
    ctx: Ctx,
    _: Annotated[Principal, Depends(requires("stock:reserve"))],
) -> ReservationResults:
    """Set stock aside for orders."""
    return ReservationResults(items=await reserve_stock(ctx, body.items))


@router.post("/internal/introspect", include_in_schema=False)
async def introspect(
    ctx: Ctx,
    token: Annotated[str, Form(max_length=200)],
    _: Annotated[Principal, Depends(requires("tokens:introspect"))],
) -> Introspection:
    """Who a token stands for (RFC 7662)."""
    principal = await ctx.tokens.introspect(token)
    if principal is None:
        return Introspection(active=False)
    return Introspection(active=True, principal=principal.model_dump(mode="json"))


@router.get("/internal/accounts/{account_id}", include_in_schema=False)
async def account_details(
    account_id: PathId, ctx: Ctx, _: Annotated[Principal, Depends(requires("accounts:read"))]
) -> AccountDetails:
    """An account in full, for the gateway."""
    async with ctx.db.transaction() as tx:
        row = await queries.account(tx, account_id)
    if row is None:
        raise NotFound("account", account_id)
    return AccountDetails(
        account_id=row.account_id,
        channel=row.channel,
        account_no=row.account_no,
        account_name=row.account_name,
        agreement_no=row.agreement_no,
    )


@router.get("/internal/contacts/{party_id}", include_in_schema=False)
async def contact_details(
    party_id: PathId, ctx: Ctx, _: Annotated[Principal, Depends(requires("contacts:read"))]
) -> ContactDetails:
    """How a party is reached, for the gateway."""
    async with ctx.db.transaction() as tx:
        row = await queries.party(tx, party_id)
    if row is None:
        raise NotFound("party", party_id)
    return ContactDetails(party_id=party_id, phone=row.contact_phone)


@router.get("/internal/receivers/{spot_id}", include_in_schema=False)
async def receiver_details(
    spot_id: PathId, ctx: Ctx, _: Annotated[Principal, Depends(requires("receivers:read"))]
) -> ReceiverDetails:
    """Where a spot is paid now, for settlement."""
    async with ctx.db.transaction() as tx:
        accounts = await queries.default_accounts(tx, [spot_id], AccountRole.RECEIVE)
    if spot_id not in accounts:
        raise NotFound("receive account of spot", spot_id)
    row = accounts[spot_id]
    return ReceiverDetails(
        spot_id=spot_id, account=AccountRef(account_id=row.account_id, channel=row.channel)
    )
