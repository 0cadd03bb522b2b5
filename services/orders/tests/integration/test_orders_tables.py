"""The tables: migrations match them, and their constraints hold what must never happen."""

from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import Table, insert, text, update
from sqlalchemy.exc import IntegrityError

from shanmen.common.migrate import check
from shanmen.common.testing.fixtures import FreshDatabase
from shanmen.orders.main import SERVICE
from shanmen.orders.tables import ENTITLEMENTS, ORDERS, TICKETS

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


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


async def test_what_is_there_cannot_be_there_twice(shop: "Shop") -> None:
    await shop.issued()
    for table, change, constraint in TWICE:
        row = (await shop.rows(table))[0]
        with pytest.raises(IntegrityError, match=constraint):
            async with shop.ctx.db.transaction() as tx:
                await tx.execute(insert(table).values({**row, **change}))


async def test_the_sweep_reads_due_orders_from_their_index(shop: "Shop") -> None:
    async with shop.ctx.db.transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await tx.execute(
            text(
                "EXPLAIN SELECT order_no FROM orders WHERE status = 'awaiting_payment' "
                "AND debit_state IN ('none', 'refused') AND payment_deadline <= now() "
                "ORDER BY payment_deadline LIMIT 200 FOR UPDATE SKIP LOCKED"
            )
        )
        assert "orders_unpaid" in "\n".join(plan.scalars())
