"""Debits (扣款): those that paid an order, that no order could take, and that are stuck."""

from shanmen.common.db import Tx
from shanmen.contracts.orders import DebitOrphaned, DebitParked, OrderClosed, OrderPaid
from shanmen.settlement.domain.ledger import posting_for_debit
from shanmen.settlement.domain.outcomes import kind_when_stuck
from shanmen.settlement.domain.work import Stuck, WorkFamily
from shanmen.settlement.errors import Contradiction
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, refunds, settlements
from shanmen.settlement.usecases.investing import invest_order
from shanmen.settlement.usecases.refunding import refund_orphan
from shanmen.settlement.usecases.work import put_on_work_list, take_off_work_list


async def book_debit(tx: Tx, paid: OrderPaid, ctx: SettlementContext) -> None:
    """Book what a distributor paid, remember where it came from, and invest it if it is to be.

    Raises Contradiction when another debit is known for the order, or this one as an orphan.
    """
    debit = {
        "order_no": paid.order_no,
        "operation_id": paid.operation_id,
        "distributor_id": paid.distributor_id,
        "account_id": paid.account.account_id,
        "channel": paid.account.channel,
        "price_fen": paid.price_fen,
        "fee_fen": paid.fee_fen,
        "paid_at": paid.paid_at,
        "product_id": paid.product_id,
        "product_name": paid.product_name,
        "kind": paid.kind,
        "invests": paid.invests,
    }
    await refunds.lock_order(tx, paid.order_no)
    if not await settlements.add_debit(tx, debit):
        known = await settlements.debit(tx, paid.order_no)
        if known is not None and known.operation_id != paid.operation_id:
            raise Contradiction(f"{paid.order_no} was debited by {known.operation_id} already")
        return
    if await refunds.is_orphan(tx, paid.operation_id):
        raise Contradiction(f"{paid.operation_id} goes back, and pays no order")
    posting = posting_for_debit(
        operation_id=paid.operation_id,
        order_no=paid.order_no,
        channel=paid.account.channel,
        price_fen=paid.price_fen,
        fee_fen=paid.fee_fen,
        occurred_at=paid.paid_at,
    )
    await ledger.record(tx, [posting])
    await take_off_work_list(tx, ctx, WorkFamily.DEBIT, paid.order_no, how="paid")
    await invest_order(tx, paid, ctx)


async def take_on_orphan(tx: Tx, orphan: DebitOrphaned, ctx: SettlementContext) -> None:
    """Book a debit that no order can take, and refund all of it, fee included.

    Raises Contradiction when it paid an order.
    """
    row = {
        "operation_id": orphan.operation_id,
        "order_no": orphan.order_no,
        "distributor_id": orphan.distributor_id,
        "account_id": orphan.account.account_id,
        "channel": orphan.account.channel,
        "amount_fen": orphan.amount_fen,
        "debited_at": orphan.debited_at,
    }
    await refunds.lock_order(tx, orphan.order_no)
    if not await refunds.add_orphan(tx, row):
        return
    if await refunds.is_of_an_order(tx, orphan.operation_id):
        raise Contradiction(f"{orphan.operation_id} paid {orphan.order_no}, and is no orphan")
    posting = posting_for_debit(
        operation_id=orphan.operation_id,
        order_no=orphan.order_no,
        channel=orphan.account.channel,
        price_fen=orphan.amount_fen,
        fee_fen=0,  # none of it was earned
        occurred_at=orphan.debited_at,
    )
    await ledger.record(tx, [posting])
    await refund_orphan(tx, orphan, ctx)


async def list_parked_debit(tx: Tx, parked: DebitParked, ctx: SettlementContext) -> None:
    """Put an order's stuck debit on the work list, unless it has ended since."""
    await refunds.lock_order(tx, parked.order_no)
    if await refunds.debit_is_over(tx, parked.order_no):
        return
    stuck = Stuck(
        family=WorkFamily.DEBIT,
        kind=kind_when_stuck(WorkFamily.DEBIT, parked.outcome),
        subject_id=parked.order_no,
        operation_id=parked.operation_id,
        reason=parked.reason,
        code=parked.outcome,
        since=parked.since,
        amount_fen=parked.amount_fen,
        channel=parked.channel,
        account_id="",  # the distributor's own; orders knows it
        order_no=parked.order_no,
        distributor_id=parked.distributor_id,
    )
    await put_on_work_list(tx, ctx, stuck)


async def end_unpaid(tx: Tx, closed: OrderClosed, ctx: SettlementContext) -> None:
    """Nothing is waited for any more of an order that was closed after a debit was tried."""
    if closed.debit_operation_id is None:
        return
    await refunds.lock_order(tx, closed.order_no)
    await refunds.close_order(tx, closed.order_no, closed.debit_operation_id)
    await take_off_work_list(tx, ctx, WorkFamily.DEBIT, closed.order_no, how="closed")
