"""The tables: migrations match them, and their constraints hold what must never happen."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import Table, insert, text, update
from sqlalchemy.exc import IntegrityError

from shanmen.common.migrate import check
from shanmen.common.testing.fixtures import FreshDatabase
from shanmen.orders.main import SERVICE
from shanmen.orders.tables import ENTITLEMENTS, ORDERS, SHORTAGES, TICKETS, TIMELINE

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


NOON: Final = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)


async def test_migrations_and_tables_agree(fresh_database: FreshDatabase) -> None:
    check(SERVICE.migrations, SERVICE.metadata, await fresh_database(SERVICE))


CONTRADICTIONS: Final[list[tuple[Table, dict[str, Any], str]]] = [
    # of an issued order's rows, what cannot become of them, and what refuses
    (ORDERS, {"status": "lost"}, "orders_status_check"),
    (ORDERS, {"debit_state": "lost"}, "orders_debit_state_check"),
    (ORDERS, {"debit_state": "requested"}, "orders_paid_means_debited_check"),
    (ORDERS, {"debit_operation_id": None}, "orders_debit_has_number_check"),
    (
        ORDERS,
        {"status": "closed_unpaid", "debit_state": "requested"},
        "orders_closed_means_no_debit_outstanding_check",
    ),
    (ORDERS, {"quantity": 0}, "orders_quantity_check"),
    (ORDERS, {"price_fen": 0}, "orders_amounts_check"),
    (ORDERS, {"fee_fen": -1}, "orders_amounts_check"),
    (ENTITLEMENTS, {"usage": "lost"}, "entitlements_usage_check"),
    (ENTITLEMENTS, {"settlement": "lost"}, "entitlements_settlement_check"),
    (ENTITLEMENTS, {"usage": "used"}, "entitlements_used_at_check"),
    (ORDERS, {"short_since": NOON}, "orders_short_since_check"),
    (ORDERS, {"cancel_reason": "cancelled"}, "orders_cancel_has_reason_check"),
    (ORDERS, {"cancel_requested_at": NOON}, "orders_cancel_has_reason_check"),
    (ENTITLEMENTS, {"refunded_fen": 1}, "entitlements_refunded_has_amount_check"),
    (
        ENTITLEMENTS,
        {"usage": "voided", "settlement": "refunded", "refunded_fen": -1},
        "entitlements_refunded_fen_check",
    ),
    (TIMELINE, {"kind": "lost"}, "order_timeline_kind_check"),
    (ENTITLEMENTS, {"settlement": "settled"}, "entitlements_unused_means_pending_check"),
]


async def test_what_contradicts_itself_cannot_be_stored(shop: "Shop") -> None:
    await shop.issued()
    for table, values, constraint in CONTRADICTIONS:
        with pytest.raises(IntegrityError, match=constraint):
            async with shop.ctx.db.transaction() as tx:
                await tx.execute(update(table).values(values))


TWICE: Final[list[tuple[Table, dict[str, Any], str]]] = [
    # a second row that differs from the first in no more than this
    (
        ORDERS,
        {"order_no": "ord_2", "debit_operation_id": "deb_2"},
        "orders_distributor_id_distributor_order_no_key",
    ),
    (
        ORDERS,
        {"order_no": "ord_2", "distributor_order_no": "A-2"},
        "orders_debit_operation_id_key",
    ),
    (TICKETS, {"position": 9}, "tickets_pkey"),
    (TICKETS, {"ticket_no": "tkt_2"}, "tickets_order_no_position_key"),
    (ENTITLEMENTS, {"entitlement_id": "ent_2"}, "entitlements_ticket_no_spot_id_key"),
]


async def test_an_account_has_one_open_shortage(shop: "Shop") -> None:
    row = {
        "shortage_id": "sht_1",
        "distributor_id": "dst_1",
        "account_id": "acc_payer",
        "channel": "alipay",
        "began_at": NOON,
    }
    async with shop.ctx.db.transaction() as tx:
        await tx.execute(insert(SHORTAGES).values({**row, "ended_at": NOON}))
        await tx.execute(insert(SHORTAGES).values({**row, "shortage_id": "sht_2"}))
    with pytest.raises(IntegrityError, match="shortages_open"):
        async with shop.ctx.db.transaction() as tx:
            await tx.execute(insert(SHORTAGES).values({**row, "shortage_id": "sht_3"}))


async def test_only_of_a_debit_a_cancel_can_be_wanted(shop: "Shop") -> None:
    await shop.place()
    wanted = {"cancel_reason": "cancelled", "cancel_requested_at": NOON}
    with pytest.raises(IntegrityError, match="orders_cancel_is_of_a_debit_check"):
        async with shop.ctx.db.transaction() as tx:
            await tx.execute(update(ORDERS).values(wanted))


async def test_what_is_there_cannot_be_there_twice(shop: "Shop") -> None:
    await shop.issued()
    for table, change, constraint in TWICE:
        row = (await shop.rows(table))[0]
        with pytest.raises(IntegrityError, match=constraint):
            async with shop.ctx.db.transaction() as tx:
                await tx.execute(insert(table).values({**row, **change}))


SWEEPS: Final = [
    ("debit_state IN ('none', 'refused')", "orders_unpaid"),
    (
        "debit_state IN ('short_of_funds', 'stuck') AND cancel_requested_at IS NULL",
        "orders_parked",
    ),
]


@pytest.mark.parametrize(("which", "index"), SWEEPS)
async def test_a_sweep_reads_due_orders_from_its_index(
    which: str, index: str, shop: "Shop"
) -> None:
    async with shop.ctx.db.transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await tx.execute(
            text(
                "EXPLAIN SELECT order_no FROM orders WHERE status = 'awaiting_payment' "
                f"AND {which} AND payment_deadline <= now() "
                "ORDER BY payment_deadline LIMIT 200 FOR UPDATE SKIP LOCKED"
            )
        )
        assert index in "\n".join(plan.scalars())
