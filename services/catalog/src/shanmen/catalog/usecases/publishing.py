"""Publishing: products, their terms and their stock."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Row

from shanmen.catalog.domain import AccountRole, PartyKind, ProductStatus, VisitRule
from shanmen.catalog.errors import (
    AccountMissing,
    ConsentMissing,
    NegativeMargin,
    NotYours,
    StatusForbids,
    StockBelowSold,
    UnknownReference,
    VisitDateUnfit,
)
from shanmen.catalog.queries import parties, pool
from shanmen.catalog.queries import products as queries
from shanmen.catalog.schemas import (
    CombinedTerms,
    NewProduct,
    NewProductSpot,
    ProductView,
    StockEntry,
)
from shanmen.catalog.usecases.products import (
    SELLERS,
    shown_product,
    visible_product,
    without_consent,
)
from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.db import Tx
from shanmen.common.errors import Invalid, NotFound
from shanmen.common.ids import new_id
from shanmen.contracts.catalog import ProductKind

MOST_ENTITLEMENTS: Final = 5000
"""Of one order: all of them travel in one event, and are issued in one transaction."""


async def create_product(tx: Tx, principal: Principal, body: NewProduct) -> ProductView:
    """Create a product, with its first stock if given, and publish it if asked.

    The spots of a combined one are asked for their consent, and it is published after that.
    """
    spots = await _checked_spots(tx, principal, body)
    is_combined = body.kind is ProductKind.COMBINED
    if is_combined and body.publish:
        raise Invalid(
            "A combined ticket (联票) is published once each of its spots has accepted.",
            field="body.publish",
            code=ConsentMissing.code,
        )
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
            "invests": is_combined if body.invests is None else body.invests,
        },
        _spot_rows(product_id, spots),
    )
    if is_combined:
        await queries.ask_consents(tx, product_id, 1, _prices(spots))
    if body.stock:
        await _put_entries(tx, product_id, body.visit_rule, body.stock, field="body.stock")
    return await shown_product(tx, principal, product_id)


async def change_terms(
    tx: Tx, principal: Principal, product_id: str, terms: CombinedTerms
) -> ProductView:
    """Give a combined product that is not on sale other prices or spots.

    Consents were to the terms as they were, so each spot is asked anew. Terms that are the present
    ones change nothing.
    """
    product, spots = await _own_product(tx, principal, product_id, lock=True)
    if product.kind != ProductKind.COMBINED:
        raise StatusForbids("A single ticket (单票) keeps its price; create another product.")
    await _check_combination(
        tx,
        terms.spots,
        unit_price_fen=terms.unit_price_fen,
        allow_negative_margin=terms.allow_negative_margin,
        max_quantity=product.max_quantity,
    )
    present = CombinedTerms(
        unit_price_fen=product.unit_price_fen,
        spots=[NewProductSpot(spot_id=s.spot_id, settle_fen=s.settle_fen) for s in spots],
        allow_negative_margin=product.allow_negative_margin,
    )
    if terms != present:
        version = await queries.replace_terms(
            tx,
            product_id,
            terms.model_dump(exclude={"spots"}),
            _spot_rows(product_id, terms.spots),
        )
        if version is None:
            raise StatusForbids("Withdraw the product (下架) before its terms change.")
        await queries.ask_consents(tx, product_id, version, _prices(terms.spots))
    return await shown_product(tx, principal, product_id)


async def set_stock(
    tx: Tx, principal: Principal, product_id: str, entries: Sequence[StockEntry]
) -> ProductView:
    """Set totals of calendar entries; never below what is reserved and sold."""
    product, _ = await _own_product(tx, principal, product_id)
    rule = VisitRule(product.visit_rule)
    await _put_entries(tx, product_id, rule, entries, field="body.entries")
    return await shown_product(tx, principal, product_id)


async def change_status(
    tx: Tx, principal: Principal, product_id: str, target: ProductStatus
) -> ProductView:
    """Publish (发布) or withdraw (下架) a product.

    A combined one is published when each of its spots has accepted and can be paid.
    """
    product, spots = await _own_product(tx, principal, product_id, lock=True)
    if not await queries.change_product_status(tx, product_id, target):
        raise StatusForbids(f"A product that is {product.status} cannot become {target}.")
    if target is ProductStatus.PUBLISHED and product.kind == ProductKind.COMBINED:
        await _check_readiness(tx, product, spots)
    return await shown_product(tx, principal, product_id)


async def _checked_spots(
    tx: Tx, principal: Principal, body: NewProduct
) -> Sequence[NewProductSpot]:
    if principal.kind is PrincipalKind.SPOT:
        return [_own_spot(principal, body)]
    if not principal.is_operator:
        raise NotYours("Products are published by spots and by the platform.")
    if body.kind is ProductKind.COMBINED:
        await _check_combination(
            tx,
            body.spots,
            unit_price_fen=body.unit_price_fen,
            allow_negative_margin=body.allow_negative_margin,
            max_quantity=body.max_quantity,
        )
        return body.spots
    if not body.spots:
        raise Invalid("Name the spot and its settlement price.", field="body.spots")
    if await parties.party(tx, body.spots[0].spot_id, PartyKind.SPOT) is None:
        raise _unknown_spot(body.spots[0].spot_id, field="body.spots")
    _check_margin(body.unit_price_fen, body.spots)
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
    _check_margin(body.unit_price_fen, body.spots)
    return body.spots[0]


async def _check_combination(
    tx: Tx,
    spots: Sequence[NewProductSpot],
    *,
    unit_price_fen: int,
    allow_negative_margin: bool,
    max_quantity: int,
) -> None:
    """Two spots or more, each known and named once, that are owed no more than is paid."""
    if len(spots) < 2:
        raise Invalid(
            "A combined ticket (联票) is for two spots or more; name another one, or make it a "
            "single ticket (单票).",
            field="body.spots",
        )
    if len(spots) * max_quantity > MOST_ENTITLEMENTS:
        raise Invalid(
            f"{max_quantity} tickets for {len(spots)} spots are more than {MOST_ENTITLEMENTS} "
            "visits in one order; name fewer spots or a smaller max_quantity.",
            field="body.spots",
        )
    known = await parties.parties_by_id(tx, [spot.spot_id for spot in spots], PartyKind.SPOT)
    earlier: set[str] = set()
    for index, spot in enumerate(spots):
        field = f"body.spots.{index}.spot_id"
        if spot.spot_id in earlier:
            raise Invalid(
                f"The spot {spot.spot_id} is named twice; name it once, with one price.",
                field=field,
            )
        if spot.spot_id not in known:
            raise _unknown_spot(spot.spot_id, field=field)
        earlier.add(spot.spot_id)
    if not allow_negative_margin:
        remedy = ", or set allow_negative_margin if that is meant"
        _check_margin(unit_price_fen, spots, remedy=remedy)


def _unknown_spot(spot_id: str, *, field: str) -> UnknownReference:
    return UnknownReference(
        f"There is no spot {spot_id!r}; GET /v1/spots lists those there are.", field=field
    )


def _check_margin(
    unit_price_fen: int, spots: Sequence[NewProductSpot], *, remedy: str = ""
) -> None:
    owed_fen = sum(spot.settle_fen for spot in spots)
    if owed_fen > unit_price_fen:
        raise NegativeMargin(
            f"Spots are owed {owed_fen} fen of a ticket sold for {unit_price_fen} fen; "
            f"lower what they are owed{remedy}.",
            field="body.spots",
        )


async def _check_readiness(tx: Tx, product: Row[Any], spots: Sequence[Row[Any]]) -> None:
    """Each spot of a combined product has accepted, and has an account that it is paid to."""
    lacking = [spot.spot_id for spot in without_consent(product, spots)]
    if lacking:
        raise ConsentMissing(
            f"Not accepted by: {', '.join(lacking)}. Each spot accepts its price first.",
            spot_ids=lacking,
        )
    accounts = await parties.default_accounts(
        tx, [spot.spot_id for spot in spots], AccountRole.RECEIVE
    )
    unpaid = [spot.spot_id for spot in spots if spot.spot_id not in accounts]
    if unpaid:
        raise AccountMissing(
            f"Without a receive account (收款账户): {', '.join(unpaid)}.", spot_ids=unpaid
        )


def _spot_rows(product_id: str, spots: Sequence[NewProductSpot]) -> list[dict[str, Any]]:
    return [
        {"product_id": product_id, "position": position, **spot.model_dump()}
        for position, spot in enumerate(spots)
    ]


def _prices(spots: Sequence[NewProductSpot]) -> dict[str, int]:
    return {spot.spot_id: spot.settle_fen for spot in spots}


async def _put_entries(
    tx: Tx, product_id: str, rule: VisitRule, entries: Sequence[StockEntry], *, field: str
) -> None:
    keys = {(entry.visit_date, entry.slot) for entry in entries}
    if len(keys) != len(entries):
        raise Invalid(
            "An entry is named twice; give each visit_date and slot one total.", field=field
        )
    for entry in entries:
        if (entry.visit_date is None) is (rule is VisitRule.DATED):
            raise VisitDateUnfit(
                "Entries of a dated product need a visit_date, of an open-dated one none.",
                field=field,
            )
    # In the order of reservations' locks, so that neither waits for the other in a circle.
    standing = await pool.find_entries(tx, [(product_id, *key) for key in keys])
    await pool.lock_stock(tx, sorted(standing.values()))
    rows = [
        {"stock_id": new_id("stk"), "product_id": product_id, **entry.model_dump()}
        for entry in sorted(entries, key=lambda e: (e.visit_date or date.min, e.slot or ""))
    ]
    if len(await pool.put_stock(tx, rows)) != len(rows):
        raise StockBelowSold("A total lies below what is reserved and sold; nothing was changed.")


async def _own_product(
    tx: Tx, principal: Principal, product_id: str, *, lock: bool = False
) -> tuple[Row[Any], Sequence[Row[Any]]]:
    if lock:
        await queries.lock_product(tx, product_id)
    row, spots = await visible_product(tx, principal, product_id)
    if principal.kind in SELLERS:
        raise NotFound("product", product_id)
    if row.kind == ProductKind.COMBINED and not principal.is_operator:
        raise NotYours("Combined tickets (联票) are the platform's; spots accept or withdraw.")
    return row, spots
