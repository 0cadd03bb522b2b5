"""What is published: products, their calendar, and what each caller sees of them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from shanmen.catalog.domain import ConsentStatus, ProductStatus
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.queries import pool
from shanmen.catalog.queries import products as queries
from shanmen.catalog.schemas import (
    Availability,
    AvailabilityEntry,
    ConsentView,
    ProductSpotView,
    ProductView,
)
from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.db import Tx
from shanmen.common.errors import NotFound
from shanmen.contracts.catalog import ProductKind

CALENDAR_LIMIT = 400
SELLERS = (PrincipalKind.DISTRIBUTOR, PrincipalKind.RESELLER)


async def list_products(
    tx: Tx,
    principal: Principal,
    *,
    status: ProductStatus | None,
    kind: ProductKind | None,
    consent: ConsentStatus | None,
    after: str | None,
    limit: int,
) -> list[ProductView]:
    """Products the caller may see, one more than `limit`.

    On sale for sellers, who are not told of consents; for spots their own and the combined ones
    that they are part of, or are asked to be.
    """
    selling = principal.kind in SELLERS
    rows = await queries.products(
        tx,
        filters={"status": ProductStatus.PUBLISHED if selling else status, "kind": kind},
        spot_id=None if selling or principal.is_operator else str(principal.party_id),
        consent=None if selling else consent,
        after=after,
        limit=limit,
    )
    spots = await queries.spots_of_products(tx, [row.product_id for row in rows])
    return [_view(principal, row, spots.get(row.product_id, [])) for row in rows]


async def availability(
    tx: Tx,
    ctx: CatalogContext,
    principal: Principal,
    product_id: str,
    *,
    first: date | None,
    last: date | None,
) -> Availability:
    """The calendar of price and stock (价格库存日历) of one product."""
    product, spots = await visible_product(tx, principal, product_id)
    entries = await pool.calendar(tx, product_id, first=first, last=last, limit=CALENDAR_LIMIT)
    now = ctx.clock.now()
    return Availability(
        product_id=product_id,
        on_sale=is_on_sale(product.status, product.sale_from, product.sale_until, now)
        and not without_consent(product, spots),
        entries=[
            AvailabilityEntry(
                visit_date=entry.visit_date,
                slot=entry.slot,
                available=entry.total - entry.reserved - entry.sold,
                unit_price_fen=product.unit_price_fen,
            )
            for entry in entries
        ],
    )


def is_on_sale(
    status: str, sale_from: datetime | None, sale_until: datetime | None, now: datetime
) -> bool:
    """Published, and inside the sale window."""
    begun = sale_from is None or sale_from <= now
    ended = sale_until is not None and sale_until <= now
    return status == ProductStatus.PUBLISHED and begun and not ended


def without_consent(product: Row[Any], spots: Sequence[Row[Any]]) -> list[Row[Any]]:
    """The spots that keep a combined product from being sold: they have not accepted its terms."""
    if product.kind != ProductKind.COMBINED:
        return []
    return [spot for spot in spots if spot.consent != ConsentStatus.ACCEPTED]


async def visible_product(
    tx: Tx, principal: Principal, product_id: str
) -> tuple[Row[Any], Sequence[Row[Any]]]:
    """A product that the caller may see, and its spots. Raises NotFound."""
    row = (await queries.products_by_id(tx, [product_id])).get(product_id)
    spots = (await queries.spots_of_products(tx, [product_id])).get(product_id, [])
    if row is None or not _may_see(principal, row, spots):
        raise NotFound("product", product_id)
    return row, spots


async def shown_product(tx: Tx, principal: Principal, product_id: str) -> ProductView:
    """A product as the caller may see it. Raises NotFound."""
    return _view(principal, *await visible_product(tx, principal, product_id))


def _may_see(principal: Principal, row: Row[Any], spots: Sequence[Row[Any]]) -> bool:
    if principal.is_operator:
        return True
    if principal.kind in SELLERS:
        return bool(row.status == ProductStatus.PUBLISHED)
    return principal.party_id in {spot.spot_id for spot in spots}


def _view(principal: Principal, row: Row[Any], spots: Sequence[Row[Any]]) -> ProductView:
    fields = {name: getattr(row, name) for name in ProductView.model_fields if name in row._fields}
    return ProductView.model_validate(
        {
            **fields,
            "allow_negative_margin": row.allow_negative_margin if principal.is_operator else None,
            "spots": [_spot_view(principal, spot) for spot in spots],
            "refund_rule": {
                "on_expiry": row.refund_on_expiry,
                "before_visit": row.refund_before_visit,
                "refunds_fee": row.refunds_fee,
            },
        }
    )


def _spot_view(principal: Principal, spot: Row[Any]) -> ProductSpotView:
    view = ProductSpotView(spot_id=spot.spot_id, name=spot.spot_name)
    if principal.is_operator or principal.party_id == spot.spot_id:
        view.settle_fen = spot.settle_fen
        if spot.consent is not None:
            view.consent = ConsentView(
                status=spot.consent, answered_at=spot.answered_at, answered_by=spot.answered_by
            )
    return view
