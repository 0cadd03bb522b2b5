"""Stock is set aside for orders, sold with their tickets, and given back, each exactly once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row

from shanmen.catalog.domain import (
    AccountRole,
    PartyKind,
    ProductStatus,
    ReservationStatus,
    VisitRule,
    local_date,
    settlement_fee,
    split_price,
    transaction_fee,
    validity,
)
from shanmen.catalog.errors import (
    AccountMissing,
    ConsentWithdrawn,
    NotOnCalendar,
    PastDate,
    QuantityOutOfRange,
    ReservationMismatch,
    ReservationOver,
    SaleClosed,
    SoldOut,
    VisitDateUnfit,
)
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.queries import parties, pool, products
from shanmen.catalog.usecases.products import is_on_sale, without_consent
from shanmen.common.db import Tx
from shanmen.common.errors import NotFound, Refusal
from shanmen.contracts.catalog import (
    Offer,
    ReservationRefused,
    ReservationResult,
    ReservationUnconfirmed,
    ReserveStock,
    SpotTerms,
)
from shanmen.contracts.terms import AccountRef, RefundRule


@dataclass(frozen=True)
class _Terms:
    """What a batch of reservations is judged by."""

    products: Mapping[str, Row[Any]]
    spots: Mapping[str, Sequence[Row[Any]]]
    distributors: Mapping[str, Row[Any]]
    pay_accounts: Mapping[str, Row[Any]]
    receive_accounts: Mapping[str, Row[Any]]


async def reserve_stock(
    ctx: CatalogContext, commands: Sequence[ReserveStock]
) -> tuple[ReservationResult, ...]:
    """Set stock aside for several orders in one transaction; each stands for itself.

    A repeated order number gets the offer that it was given before.
    """
    now = ctx.clock.now()
    async with ctx.db.transaction() as tx:
        terms = await _load_terms(tx, commands)
        entries = await pool.find_entries(
            tx, [(c.product_id, c.visit_date, c.slot) for c in commands]
        )
        left = await pool.lock_stock(tx, sorted(set(entries.values())))
        known = await pool.reservations(tx, [command.order_no for command in commands])
        results: list[ReservationResult] = []
        new_rows: dict[str, dict[str, Any]] = {}
        for position, command in enumerate(commands):
            try:
                earlier = known.get(command.order_no) or new_rows.get(command.order_no)
                if earlier is not None:
                    offer = _earlier_offer(command, earlier)
                else:
                    product, spots = _on_sale(command, terms, now)
                    stock_id = _entry(entries.get(position))
                    offer = _make_offer(command, product, spots, terms)
                    _take(command, stock_id, left)
                    new_rows[command.order_no] = _row(command, stock_id, offer, now)
                results.append(ReservationResult(order_no=command.order_no, offer=offer))
            except Refusal as error:
                results.append(_refused(command, error))
        if new_rows:
            await pool.insert_reservations(tx, list(new_rows.values()))
            await pool.move_counters(tx, _reserved_by_entry(new_rows.values()))
    return tuple(results)


async def confirm_reservation(tx: Tx, order_no: str) -> None:
    """The order exists."""
    await pool.change_reservation(tx, order_no, ReservationStatus.CONFIRMED)


async def sell_reservation(tx: Tx, order_no: str) -> None:
    """The order's tickets are issued: what was reserved is sold."""
    row = await pool.change_reservation(tx, order_no, ReservationStatus.SOLD)
    if row is not None:
        await pool.move_counters(tx, {row.stock_id: (-row.quantity, row.quantity)})


async def release_reservation(tx: Tx, order_no: str) -> None:
    """The order ended unpaid, or never came to be: its stock goes back, once."""
    row = await pool.change_reservation(tx, order_no, ReservationStatus.RELEASED)
    if row is not None:
        await pool.move_counters(tx, {row.stock_id: (-row.quantity, 0)})


async def ask_about_unconfirmed(ctx: CatalogContext) -> int:
    """Ask orders about stock held for orders that nobody has heard of; returns how many."""
    now = ctx.clock.now()
    older_than = now - timedelta(seconds=ctx.settings.reservation_confirm_s)
    async with ctx.db.transaction() as tx:
        rows = await pool.claim_unconfirmed(tx, older_than=older_than, now=now, limit=200)
        await ctx.outbox.add(
            tx,
            [
                ReservationUnconfirmed(order_no=row.order_no, reserved_at=row.reserved_at)
                for row in rows
            ],
        )
    return len(rows)


async def _load_terms(tx: Tx, commands: Sequence[ReserveStock]) -> _Terms:
    product_ids = sorted({command.product_id for command in commands})
    distributor_ids = sorted({command.distributor_id for command in commands})
    spots = await products.spots_of_products(tx, product_ids)
    spot_ids = sorted({spot.spot_id for rows in spots.values() for spot in rows})
    return _Terms(
        products=await products.products_by_id(tx, product_ids),
        spots=spots,
        distributors=await parties.parties_by_id(tx, distributor_ids, PartyKind.DISTRIBUTOR),
        pay_accounts=await parties.default_accounts(tx, distributor_ids, AccountRole.PAY),
        receive_accounts=await parties.default_accounts(tx, spot_ids, AccountRole.RECEIVE),
    )


def _on_sale(
    command: ReserveStock, terms: _Terms, now: datetime
) -> tuple[Row[Any], Sequence[Row[Any]]]:
    """The product and its spots, if it is sold at this moment for that date."""
    product = terms.products.get(command.product_id)
    if (
        product is None
        or product.status == ProductStatus.DRAFT
        or command.distributor_id not in terms.distributors
    ):
        raise NotFound("product", command.product_id)
    spots = terms.spots[command.product_id]
    _check_sale(command, product, spots, now)
    _check_consents(product, spots)
    return product, spots


def _make_offer(
    command: ReserveStock, product: Row[Any], spots: Sequence[Row[Any]], terms: _Terms
) -> Offer:
    """The terms of sale of this moment."""
    pay_account = terms.pay_accounts.get(command.distributor_id)
    if pay_account is None:
        raise AccountMissing("You have no default pay account (付款账号); register one first.")
    valid_from, valid_until = validity(
        VisitRule(product.visit_rule),
        visit_date=command.visit_date,
        valid_days=product.valid_days,
        valid_from=product.valid_from,
        valid_until=product.valid_until,
    )
    price_fen = product.unit_price_fen * command.quantity
    return Offer(
        product_id=product.product_id,
        product_version=product.version,
        product_name=product.name,
        kind=product.kind,
        visit_date=command.visit_date,
        slot=command.slot,
        quantity=command.quantity,
        unit_price_fen=product.unit_price_fen,
        fee_fen=transaction_fee(price_fen, terms.distributors[command.distributor_id].fee_bps),
        valid_from=valid_from,
        valid_until=valid_until,
        spots=_spot_terms(product, spots, terms.receive_accounts),
        pay_account=AccountRef(account_id=pay_account.account_id, channel=pay_account.channel),
        refund_rule=RefundRule(
            on_expiry=product.refund_on_expiry,
            before_visit=product.refund_before_visit,
            refunds_fee=product.refunds_fee,
        ),
        real_name=product.real_name,
        invests=product.invests,
        payment_timeout_s=product.payment_timeout_s,
    )


def _check_sale(
    command: ReserveStock, product: Row[Any], spots: Sequence[Row[Any]], now: datetime
) -> None:
    if not is_on_sale(product.status, product.sale_from, product.sale_until, now):
        raise SaleClosed("This product is not on sale now (停售).")
    if not 1 <= command.quantity <= product.max_quantity:
        raise QuantityOutOfRange(
            f"One order holds 1 to {product.max_quantity} tickets.", field="body.quantity"
        )
    dated = product.visit_rule == VisitRule.DATED
    if dated is (command.visit_date is None):
        needs = "needs a visit_date" if dated else "has no visit_date"
        raise VisitDateUnfit(f"This product {needs}.", field="body.visit_date")
    last_day: date = command.visit_date or product.valid_until
    # Of several spots the first one to see midnight decides: none may be sold that is over.
    today = max(local_date(now, spot.time_zone) for spot in spots)
    if last_day < today:
        raise PastDate(
            f"{last_day} is over at the spot, where it is {today}.", field="body.visit_date"
        )


def _check_consents(product: Row[Any], spots: Sequence[Row[Any]]) -> None:
    if any(spot.terms_version != product.terms_version for spot in spots):
        raise SaleClosed("The terms of this product have just changed; read it again.")
    leaving = [spot.spot_name for spot in without_consent(product, spots)]
    if leaving:
        raise ConsentWithdrawn(f"No more tickets for {', '.join(leaving)} (景区已撤回).")


def _spot_terms(
    product: Row[Any], spots: Sequence[Row[Any]], accounts: Mapping[str, Row[Any]]
) -> tuple[SpotTerms, ...]:
    parts = split_price(product.unit_price_fen, [spot.settle_fen for spot in spots])
    terms = []
    for spot, part_fen in zip(spots, parts, strict=True):
        account = accounts.get(spot.spot_id)
        if account is None:
            raise AccountMissing(f"The spot {spot.spot_id} has no receive account (收款账户) yet.")
        terms.append(
            SpotTerms(
                spot_id=spot.spot_id,
                spot_name=spot.spot_name,
                time_zone=spot.time_zone,
                settle_fen=spot.settle_fen,
                settlement_fee_fen=settlement_fee(spot.settle_fen, spot.fee_bps),
                part_fen=part_fen,
                offline_grace_s=spot.offline_grace_s,
                receive_account=AccountRef(account_id=account.account_id, channel=account.channel),
            )
        )
    return tuple(terms)


def _entry(stock_id: str | None) -> str:
    if stock_id is None:
        raise NotOnCalendar(
            "There is no stock entry for that date and slot.", field="body.visit_date"
        )
    return stock_id


def _take(command: ReserveStock, stock_id: str, left: dict[str, int]) -> None:
    if left[stock_id] < command.quantity:
        raise SoldOut(f"Only {left[stock_id]} left (售罄).", available=left[stock_id])
    left[stock_id] -= command.quantity


def _row(command: ReserveStock, stock_id: str, offer: Offer, now: datetime) -> dict[str, Any]:
    return {
        "order_no": command.order_no,
        "stock_id": stock_id,
        "distributor_id": command.distributor_id,
        "quantity": command.quantity,
        "status": ReservationStatus.HELD,
        "offer": offer.model_dump(mode="json"),
        "reserved_at": now,
    }


def _earlier_offer(command: ReserveStock, earlier: Mapping[str, Any]) -> Offer:
    if earlier["status"] == ReservationStatus.RELEASED:
        raise ReservationOver(f"The reservation of {command.order_no} was released.")
    offer = Offer.model_validate(earlier["offer"])
    asked = (command.product_id, command.visit_date, command.slot, command.quantity)
    if asked != (offer.product_id, offer.visit_date, offer.slot, offer.quantity):
        raise ReservationMismatch(f"{command.order_no} holds another reservation.")
    return offer


def _reserved_by_entry(rows: Any) -> dict[str, tuple[int, int]]:
    moves: dict[str, tuple[int, int]] = {}
    for row in rows:
        reserved, _ = moves.get(row["stock_id"], (0, 0))
        moves[row["stock_id"]] = (reserved + row["quantity"], 0)
    return moves


def _refused(command: ReserveStock, error: Refusal) -> ReservationResult:
    errors = error.members.get("errors") or [{"field": None}]
    return ReservationResult(
        order_no=command.order_no,
        refused=ReservationRefused(
            status=error.status, code=error.code, detail=error.detail, field=errors[0]["field"]
        ),
    )
