"""Catalog's routes."""

from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from starlette.responses import Response

from shanmen.catalog import queries
from shanmen.catalog.domain import AccountRole, PartyKind, ProductStatus
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.schemas import (
    ID_SHAPE,
    AccountView,
    Availability,
    CredentialView,
    DistributorView,
    Introspection,
    NewAccount,
    NewCredential,
    NewDistributor,
    NewProduct,
    NewSpot,
    ProductView,
    SpotView,
    StockEntries,
)
from shanmen.catalog.usecases import parties, products
from shanmen.catalog.usecases.reservations import reserve_stock
from shanmen.common.auth import Principal, requires
from shanmen.common.db import Tx
from shanmen.common.errors import NotFound
from shanmen.common.http.calls import Call, changes, send_reply
from shanmen.common.idempotency import Reply, once
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.contracts.catalog import (
    AccountDetails,
    ContactDetails,
    ReceiverDetails,
    ReservationResults,
    ReserveStockBatch,
)
from shanmen.contracts.terms import AccountRef

router = APIRouter()
PREFIXES: Final = (
    *("/v1/spots", "/v1/distributors", "/v1/accounts", "/v1/credentials"),
    *("/v1/products", "/v1/availability"),
)
"""The paths that catalog owns at the edge."""


async def context(request: Request) -> CatalogContext:
    """The service's ports."""
    found: CatalogContext = request.app.state.context
    return found


Ctx = Annotated[CatalogContext, Depends(context)]
PathId = Annotated[str, Path(pattern=ID_SHAPE)]
PartyReader = Annotated[Principal, Depends(requires("parties:read"))]
PartyWriter = Annotated[Call, Depends(changes("parties:write"))]
CredentialCall = Annotated[Call, Depends(changes("credentials:write"))]
Reader = Annotated[Principal, Depends(requires("catalog:read"))]
Publisher = Annotated[Call, Depends(changes("catalog:write"))]


# ── parties ─────────────────────────────────────────────────────────────────────────────────────


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
    """Register a settlement account (结算账户); new orders use it, earlier ones keep theirs."""

    async def effect(tx: Tx) -> Reply:
        view = await parties.register_account(tx, call.principal, body)
        return Reply.of(201, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/accounts")
async def list_accounts(
    ctx: Ctx,
    principal: PartyReader,
    party_id: Annotated[str | None, Query(pattern=ID_SHAPE)] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[AccountView]:
    """Settlement accounts, numbers masked; a party sees its own."""
    async with ctx.db.transaction() as tx:
        rows = await queries.accounts(
            tx,
            party_id=party_id if principal.is_operator else principal.party_id,
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


# ── products ────────────────────────────────────────────────────────────────────────────────────


@router.post("/v1/products", status_code=201, response_model=ProductView)
async def create_product(body: NewProduct, ctx: Ctx, call: Publisher) -> Response:
    """Create a product (票务), optionally with stock, and published at once."""

    async def effect(tx: Tx) -> Reply:
        view = await products.create_product(tx, call.principal, body)
        return Reply.of(201, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/products")
async def list_products(
    ctx: Ctx,
    principal: Reader,
    status: ProductStatus | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ProductView]:
    """The pool (票池): what is on sale for distributors, their own products for spots."""
    async with ctx.db.transaction() as tx:
        views = await products.list_products(
            tx, principal, status=status, after=decode_cursor(cursor), limit=limit
        )
    return page_of(views, [view.product_id for view in views], limit)


@router.get("/v1/products/{product_id}")
async def get_product(product_id: PathId, ctx: Ctx, principal: Reader) -> ProductView:
    """One product."""
    async with ctx.db.transaction() as tx:
        return await products.get_product(tx, principal, product_id)


@router.put("/v1/products/{product_id}/stock")
async def put_stock(
    product_id: PathId,
    body: StockEntries,
    ctx: Ctx,
    principal: Annotated[Principal, Depends(requires("catalog:write"))],
) -> ProductView:
    """Set the stock (库存) of calendar entries; all of them or, when one is refused, none."""
    async with ctx.db.transaction() as tx:
        return await products.set_stock(tx, principal, product_id, body.entries)


@router.post("/v1/products/{product_id}/publish", response_model=ProductView)
async def publish_product(product_id: PathId, ctx: Ctx, call: Publisher) -> Response:
    """Put a product on sale (发布)."""
    return await _change_status(product_id, ctx, call, ProductStatus.PUBLISHED)


@router.post("/v1/products/{product_id}/withdraw", response_model=ProductView)
async def withdraw_product(product_id: PathId, ctx: Ctx, call: Publisher) -> Response:
    """Take a product off sale (下架); tickets already sold stay valid."""
    return await _change_status(product_id, ctx, call, ProductStatus.WITHDRAWN)


@router.get("/v1/availability")
async def get_availability(
    ctx: Ctx,
    principal: Reader,
    product_id: Annotated[str, Query(pattern=ID_SHAPE)],
    first: Annotated[date | None, Query(alias="from")] = None,
    last: Annotated[date | None, Query(alias="to")] = None,
) -> Availability:
    """Calendar of price and stock (价格库存日历) of a product."""
    async with ctx.db.transaction() as tx:
        return await products.availability(tx, ctx, principal, product_id, first=first, last=last)


async def _change_status(
    product_id: str, ctx: CatalogContext, call: Call, target: ProductStatus
) -> Response:
    async def effect(tx: Tx) -> Reply:
        view = await products.change_status(tx, call.principal, product_id, target)
        return Reply.of(200, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


def _sees(principal: Principal, party_id: str) -> bool:
    return principal.is_operator or principal.party_id == party_id


# ── for our own services only; not reachable through the edge ───────────────────────────────────


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
