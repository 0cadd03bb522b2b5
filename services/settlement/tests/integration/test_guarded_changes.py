"""What becomes of a payout or refund is guarded by the very machines, cell by cell."""

from itertools import product
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from shanmen.settlement.domain.statuses import PAYOUT, REFUND, PayoutStatus, RefundPaymentStatus
from shanmen.settlement.queries.payouts import change_payout
from shanmen.settlement.queries.refunds import change_refund
from shanmen.settlement.tables import ORPHANED_DEBITS, PAYOUTS, REFUNDS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story

WITH_REASON = {"parked", "failed"}
FINISHED = {"paid", "refunded", "failed"}


def facts(story: "Story", status: str) -> dict[str, Any]:
    """What goes with a status."""
    return {
        "reason": "余额不足" if status in WITH_REASON else None,
        "finished_at": story.context.clock.now() if status in FINISHED else None,
    }


async def test_every_cell_of_the_payout_machine(story: "Story") -> None:
    row = {
        "spot_id": "spt_1",
        "account_id": "acc_receiver",
        "channel": "alipay",
        "amount_fen": 8_900,
        "requested_at": story.context.clock.now(),
    }
    for source, target in product(PayoutStatus, PayoutStatus):
        payout_id = f"pay_{source}_{target}"
        async with story.context.db.transaction() as tx:
            begun = {"payout_id": payout_id, "status": source, **facts(story, source)}
            await tx.execute(insert(PAYOUTS).values({**row, **begun}))
            changed = await change_payout(tx, payout_id, target, **facts(story, target))
        is_changed = changed is not None and changed.status == target
        assert (payout_id, is_changed) == (payout_id, PAYOUT.allows(source, target))


async def test_every_cell_of_the_refund_machine(story: "Story") -> None:
    at = story.context.clock.now()
    debit = {
        "order_no": "ord_1",
        "distributor_id": "dst_1",
        "account_id": "acc_payer",
        "channel": "alipay",
    }
    for source, target in product(RefundPaymentStatus, RefundPaymentStatus):
        refund_id, number = f"ref_{source}_{target}", f"deb_{source}_{target}"
        orphan = {"operation_id": number, "amount_fen": 60, "debited_at": at}
        begun = {
            "refund_id": refund_id,
            "original_operation_id": number,
            "part_fen": 60,
            "fee_fen": 0,
            "amount_fen": 60,
            "status": source,
            "requested_at": at,
        }
        async with story.context.db.transaction() as tx:
            await tx.execute(insert(ORPHANED_DEBITS).values({**debit, **orphan}))
            row = {**debit, **begun, **facts(story, source)}
            await tx.execute(insert(REFUNDS).values(row))
            changed = await change_refund(tx, refund_id, target, **facts(story, target))
        is_changed = changed is not None and changed.status == target
        assert (refund_id, is_changed) == (refund_id, REFUND.allows(source, target))
