"""Publishing: products, their calendar, and what distributors see of them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row

from shanmen.catalog import queries
from shanmen.catalog.domain import ProductStatus, VisitRule
from shanmen.catalog.errors import (
    NegativeMargin,
    NotYours,
    StatusForbids,
    StockBelowSold,
    UnknownReference,
    VisitDateUnfit,
)
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.schemas import (
    Availability,
    AvailabilityEntry,
    NewProduct,
    NewProductSpot,
    ProductSpotView,
    ProductView,
    StockEntry,
)
from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.db import Tx
from shanmen.common.errors import Invalid, NotFound
from shanmen.common.ids import new_id
from shanmen.contracts.catalog import ProductKind

CALENDAR_LIMIT = 400
SELLERS = (PrincipalKind.DISTRIBUTOR, PrincipalKind.RESELLER)


async def create_product(tx: Tx, principal: Principal, body: NewProduct) -> ProductView:
    """Create a product, with its first stock if given, and publish it if asked."""
    spots = await _checked_spots(tx, principal, body)
    product_id = new_id("prd")
    status = ProductStatus.PUBLISHED if body.publish else ProductStatus.DRAFT
    values = body.model_dump(exclude={"spots", "stock", "publish", "refund_rule"})
    await queries.insert_product(
        tx,
        {
            **values,
            "product_id": product_id,
            "status": status,
            "refund_on_expiry": body.refund_rule.on_expiry,
            "refund_before_visit": body.refund_rule.before_visit,
            "refunds_fee": body.refund_rule.refunds_fee,
            "invests": body.kind is ProductKind.COMBINED,
        },
        [
            {
                "product_id": product_id,
                "spot_id": spot.spot_id,
                "position": position,
                "settle_fen": spot.settle_fen,
            }
            for position, spot in enumerate(spots)
        ],
    )
    if body.stock:
        await _put_entries(tx, product_id, body.visit_rule, body.stock, field="body.stock")
    return await _shown(tx, principal, product_id)


async def set_stock(
    tx: Tx, principal: Principal, product_id: str, entries: Sequence[StockEntry]
) -> ProductView:
    """Set totals of calendar entries; never below what is reserved and sold."""
    product = await _own_product(tx, principal, product_id)
    rule = VisitRule(product.visit_rule)
    await _put_entries(tx, product_id, rule, entries, field="body.entries")
    return await _shown(tx, principal, product_id)


async def change_status(
    tx: Tx, principal: Principal, product_id: str, target: ProductStatus
) -> ProductView:
    """Publish (发布) or withdraw (下架) a product."""
    product = await _own_product(tx, principal, product_id)
    if not await queries.change_product_status(tx, product_id, target):
        raise StatusForbids(f"A product that is {product.status} cannot become {target}.")
    return await _shown(tx, principal, product_id)


async def list_products(
    tx: Tx, principal: Principal, *, status: str | None, after: str | None, limit: int
) -> list[ProductView]:
    """Products the caller may see, one more than `limit`: on sale for sellers, own for spots."""
    selling = principal.kind in SELLERS
    rows = await queries.products(
        tx,
        status=ProductStatus.PUBLISHED if selling else status,
        spot_id=None if selling or principal.is_operator else str(principal.party_id),
        after=after,
        limit=limit,
    )
    spots = await queries.spots_of_products(tx, [row.product_id for row in rows])
    return [_view(principal, row, spots.get(row.product_id, [])) for row in rows]


async def get_product(tx: Tx, principal: Principal, product_id: str) -> ProductView:
    """One product the caller may see."""
    return await _shown(tx, principal, product_id)


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
    view = await _shown(tx, principal, product_id)
    entries = await queries.calendar(tx, product_id, first=first, last=last, limit=CALENDAR_LIMIT)
    return Availability(
        product_id=product_id,
        on_sale=is_on_sale(view.status, view.sale_from, view.sale_until, ctx.clock.now()),
        entries=[
            AvailabilityEntry(
                visit_date=entry.visit_date,
                slot=entry.slot,
                available=entry.total - entry.reserved - entry.sold,
                unit_price_fen=view.unit_price_fen,
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


async def _checked_spots(
    tx: Tx, principal: Principal, body: NewProduct
) -> Sequence[NewProductSpot]:
    if principal.kind is PrincipalKind.SPOT:
        return [_own_spot(principal, body)]
    if not principal.is_operator:
        raise NotYours("Products are published by spots and by the platform.")
    if body.kind is ProductKind.COMBINED:
        raise Invalid(
            "Combined tickets (联票) cannot be published yet.",
            field="body.kind",
            code="unsupported",
        )
    if not body.spots:
        raise Invalid("Name the spot and its settlement price.", field="body.spots")
    for spot in body.spots:
        if await queries.party(tx, spot.spot_id, "spot") is None:
            raise UnknownReference(f"There is no spot {spot.spot_id!r}.", field="body.spots")
    _check_margin(body, body.spots)
    return body.spots


def _own_spot(principal: Principal, body: NewProduct) -> NewProductSpot:
    """A spot publishes its own single ticket; without terms it is owed the whole price."""
    own = str(principal.party_id)
    if body.kind is not ProductKind.SINGLE:
        raise NotYours("Combined tickets (联票) are published by the platform.")
    if not body.spots:
        return NewProductSpot(spot_id=own, settle_fen=body.unit_price_fen)
    if body.spots[0].spot_id != own:
        raise UnknownReference("A spot publishes tickets for itself.", field="body.spots")
    _check_margin(body, body.spots)
    return body.spots[0]


def _check_margin(body: NewProduct, spots: Sequence[NewProductSpot]) -> None:
    owed = sum(spot.settle_fen for spot in spots)
    if owed > body.unit_price_fen:
        raise NegativeMargin(
            f"Spots are owed {owed} fen of a ticket sold for {body.unit_price_fen} fen.",
            field="body.spots",
        )


async def _put_entries(
    tx: Tx, product_id: str, rule: VisitRule, entries: Sequence[StockEntry], *, field: str
) -> None:
    keys = {(entry.visit_date, entry.slot) for entry in entries}
    if len(keys) != len(entries):
        raise Invalid("An entry is named twice.", field=field)
    for entry in entries:
        if (entry.visit_date is None) is (rule is VisitRule.DATED):
            raise VisitDateUnfit(
                "Entries of a dated product need a visit_date, of an open-dated one none.",
                field=field,
            )
    # In the order of reservations' locks, so that neither waits for the other in a circle.
    standing = await queries.find_entries(tx, [(product_id, *key) for key in keys])
    await queries.lock_stock(tx, sorted(standing.values()))
    rows = [
        {"stock_id": new_id("stk"), "product_id": product_id, **entry.model_dump()}
        for entry in sorted(entries, key=lambda e: (e.visit_date or date.min, e.slot or ""))
    ]
    if len(await queries.put_stock(tx, rows)) != len(rows):
        raise StockBelowSold("A total lies below what is reserved and sold; nothing was changed.")


async def _own_product(tx: Tx, principal: Principal, product_id: str) -> Row[Any]:
    row = (await queries.products_by_id(tx, [product_id])).get(product_id)
    spots = (await queries.spots_of_products(tx, [product_id])).get(product_id, [])
    if row is None or not _may_see(principal, row, spots) or principal.kind in SELLERS:
        raise NotFound("product", product_id)
    return row


async def _shown(tx: Tx, principal: Principal, product_id: str) -> ProductView:
    row = (await queries.products_by_id(tx, [product_id])).get(product_id)
    spots = (await queries.spots_of_products(tx, [product_id])).get(product_id, [])
    if row is None or not _may_see(principal, row, spots):
        raise NotFound("product", product_id)
    return _view(principal, row, spots)


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
            "spots": [
                ProductSpotView(
                    spot_id=spot.spot_id,
                    name=spot.spot_name,
                    settle_fen=spot.settle_fen
                    if principal.is_operator or principal.party_id == spot.spot_id
                    else None,
                )
                for spot in spots
            ],
            "refund_rule": {
                "on_expiry": row.refund_on_expiry,
                "before_visit": row.refund_before_visit,
                "refunds_fee": row.refunds_fee,
            },
        }
    )
