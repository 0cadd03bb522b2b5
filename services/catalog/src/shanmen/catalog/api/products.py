"""Routes of products and their calendar."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from shanmen.catalog.api.callers import Ctx, PathId
from shanmen.catalog.domain import ConsentStatus, ProductStatus
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.schemas import (
    ID_SHAPE,
    Availability,
    CombinedTerms,
    ConsentAnswer,
    NewProduct,
    ProductView,
    StockEntries,
)
from shanmen.catalog.usecases import consents, products, publishing
from shanmen.common.auth import Principal, requires
from shanmen.common.db import Tx
from shanmen.common.http.calls import Call, changes, send_reply
from shanmen.common.idempotency import Reply, once
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.contracts.catalog import ProductKind

router = APIRouter()

Reader = Annotated[Principal, Depends(requires("catalog:read"))]
Writer = Annotated[Principal, Depends(requires("catalog:write"))]
Publisher = Annotated[Call, Depends(changes("catalog:write"))]


@router.post("/v1/products", status_code=201, response_model=ProductView)
async def create_product(body: NewProduct, ctx: Ctx, call: Publisher) -> Response:
    """Create a product (票务), optionally with stock, and published at once."""

    async def effect(tx: Tx) -> Reply:
        view = await publishing.create_product(tx, call.principal, body)
        return Reply.of(201, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/products")
async def list_products(
    ctx: Ctx,
    principal: Reader,
    *,
    status: ProductStatus | None = None,
    kind: ProductKind | None = None,
    consent: ConsentStatus | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ProductView]:
    """The pool (票池): what is on sale for distributors; for spots their own products and the
    combined ones (联票, `kind=combined`) that they are part of or asked to be (`consent=asked`).
    """
    async with ctx.db.transaction() as tx:
        views = await products.list_products(
            tx,
            principal,
            status=status,
            kind=kind,
            consent=consent,
            after=decode_cursor(cursor),
            limit=limit,
        )
    return page_of(views, [view.product_id for view in views], limit)


@router.get("/v1/products/{product_id}")
async def get_product(product_id: PathId, ctx: Ctx, principal: Reader) -> ProductView:
    """One product."""
    async with ctx.db.transaction() as tx:
        return await products.shown_product(tx, principal, product_id)


@router.put("/v1/products/{product_id}/stock")
async def put_stock(
    product_id: PathId,
    body: StockEntries,
    ctx: Ctx,
    principal: Writer,
) -> ProductView:
    """Set the stock (库存) of calendar entries; all of them or, when one is refused, none."""
    async with ctx.db.transaction() as tx:
        return await publishing.set_stock(tx, principal, product_id, body.entries)


@router.put("/v1/products/{product_id}/terms")
async def put_terms(
    product_id: PathId,
    body: CombinedTerms,
    ctx: Ctx,
    principal: Writer,
) -> ProductView:
    """Change prices and spots of a combined product (联票) not on sale; spots are asked anew."""
    async with ctx.db.transaction() as tx:
        return await publishing.change_terms(tx, principal, product_id, body)


@router.post("/v1/products/{product_id}/consents", response_model=ProductView)
async def answer_consent(
    product_id: PathId, body: ConsentAnswer, ctx: Ctx, call: Publisher
) -> Response:
    """Accept to be part of a combined product (联票), or withdraw from it for future sales."""

    async def effect(tx: Tx) -> Reply:
        view = await consents.answer_consent(tx, ctx, call.principal, product_id, body)
        return Reply.of(200, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


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
        view = await publishing.change_status(tx, call.principal, product_id, target)
        return Reply.of(200, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))
