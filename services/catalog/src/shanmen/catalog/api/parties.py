"""Routes of parties, their settlement accounts and their credentials."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from shanmen.catalog.api.callers import Ctx, PathId
from shanmen.catalog.domain import PartyKind
from shanmen.catalog.queries import parties as queries
from shanmen.catalog.schemas import (
    ID_SHAPE,
    AccountView,
    CredentialView,
    DistributorView,
    NewAccount,
    NewCredential,
    NewDistributor,
    NewSpot,
    SpotView,
)
from shanmen.catalog.usecases import parties
from shanmen.common.auth import Principal, requires
from shanmen.common.db import Tx
from shanmen.common.errors import NotFound
from shanmen.common.http.calls import Call, changes, send_reply
from shanmen.common.idempotency import Reply, once
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of

router = APIRouter()

PartyReader = Annotated[Principal, Depends(requires("parties:read"))]
PartyWriter = Annotated[Call, Depends(changes("parties:write"))]
CredentialCall = Annotated[Call, Depends(changes("credentials:write"))]


@router.post("/v1/spots", status_code=201, response_model=SpotView)
async def create_spot(body: NewSpot, ctx: Ctx, call: PartyWriter) -> Response:
    """Onboard a scenic spot (景区入驻)."""

    async def effect(tx: Tx) -> Reply:
        return Reply.of(201, (await parties.onboard_spot(tx, body)).model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/spots")
async def list_spots(
    ctx: Ctx, principal: PartyReader, limit: Limit = 50, cursor: CursorText = None
) -> Page[SpotView]:
    """Spots: all for an operator, its own for a spot."""
    async with ctx.db.transaction() as tx:
        rows = await queries.parties(
            tx, PartyKind.SPOT, only=principal.party_id, after=decode_cursor(cursor), limit=limit
        )
    return page_of([parties.spot_view(r) for r in rows], [r.party_id for r in rows], limit)


@router.get("/v1/spots/{spot_id}")
async def get_spot(spot_id: PathId, ctx: Ctx, principal: PartyReader) -> SpotView:
    """One spot."""
    async with ctx.db.transaction() as tx:
        row = await queries.party(tx, spot_id, PartyKind.SPOT)
    if row is None or not _sees(principal, spot_id):
        raise NotFound("spot", spot_id)
    return parties.spot_view(row)


@router.post("/v1/distributors", status_code=201, response_model=DistributorView)
async def create_distributor(body: NewDistributor, ctx: Ctx, call: PartyWriter) -> Response:
    """Onboard a distributor (经销商入驻)."""

    async def effect(tx: Tx) -> Reply:
        view = await parties.onboard_distributor(tx, body)
        return Reply.of(201, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/distributors")
async def list_distributors(
    ctx: Ctx, principal: PartyReader, limit: Limit = 50, cursor: CursorText = None
) -> Page[DistributorView]:
    """Distributors: all for an operator, itself for a distributor."""
    async with ctx.db.transaction() as tx:
        rows = await queries.parties(
            tx,
            PartyKind.DISTRIBUTOR,
            only=principal.party_id,
            after=decode_cursor(cursor),
            limit=limit,
        )
    return page_of([parties.distributor_view(r) for r in rows], [r.party_id for r in rows], limit)


@router.get("/v1/distributors/{distributor_id}")
async def get_distributor(
    distributor_id: PathId, ctx: Ctx, principal: PartyReader
) -> DistributorView:
    """One distributor."""
    async with ctx.db.transaction() as tx:
        row = await queries.party(tx, distributor_id, PartyKind.DISTRIBUTOR)
    if row is None or not _sees(principal, distributor_id):
        raise NotFound("distributor", distributor_id)
    return parties.distributor_view(row)


@router.post("/v1/accounts", status_code=201, response_model=AccountView)
async def create_account(body: NewAccount, ctx: Ctx, call: PartyWriter) -> Response:
    """Register a settlement account (结算账户), or go back to one that the party had before.

    New orders use it, earlier ones keep theirs.
    """

    async def effect(tx: Tx) -> Reply:
        view = await parties.register_account(tx, ctx, call.principal, body)
        return Reply.of(201, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/accounts")
async def list_accounts(
    ctx: Ctx,
    principal: PartyReader,
    *,
    party_id: Annotated[str | None, Query(pattern=ID_SHAPE)] = None,
    is_default: Annotated[
        bool | None, Query(description="only those that new orders use, or only the former ones")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[AccountView]:
    """Settlement accounts, numbers masked; a party sees its own."""
    async with ctx.db.transaction() as tx:
        rows = await queries.accounts(
            tx,
            party_id=party_id if principal.is_operator else principal.party_id,
            is_default=is_default,
            after=decode_cursor(cursor),
            limit=limit,
        )
    return page_of([parties.account_view(r) for r in rows], [r.account_id for r in rows], limit)


@router.post("/v1/credentials", status_code=201, response_model=CredentialView)
async def create_credential(body: NewCredential, ctx: Ctx, call: CredentialCall) -> Response:
    """Mint a token; it is shown this once, so this call takes no Idempotency-Key into account."""
    async with ctx.db.transaction() as tx:
        view = await parties.mint_credential(tx, ctx, call.principal, body)
    return send_reply(Reply.of(201, view.model_dump(mode="json")))


@router.get("/v1/credentials")
async def list_credentials(
    ctx: Ctx,
    principal: Annotated[Principal, Depends(requires("credentials:write"))],
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[CredentialView]:
    """Credentials, without their tokens."""
    async with ctx.db.transaction() as tx:
        rows = await queries.credentials(
            tx, party_id=principal.party_id, after=decode_cursor(cursor), limit=limit
        )
    views = [parties.credential_view(row) for row in rows]
    return page_of(views, [row.credential_id for row in rows], limit)


@router.post("/v1/credentials/{credential_id}/revoke", response_model=CredentialView)
async def revoke_credential(credential_id: PathId, ctx: Ctx, call: CredentialCall) -> Response:
    """Make a token useless."""

    async def effect(tx: Tx) -> Reply:
        view = await parties.revoke_credential(tx, ctx, call.principal, credential_id)
        return Reply.of(200, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


def _sees(principal: Principal, party_id: str) -> bool:
    return principal.is_operator or principal.party_id == party_id
