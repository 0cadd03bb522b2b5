"""Investing (理财申购): an order's price goes into the wealth product of what it bought.

Whatever becomes of it, the order's tickets are issued and its visitors admitted.
"""

from shanmen.common.db import Tx
from shanmen.common.ids import new_id
from shanmen.contracts.gateway import (
    OperationFailed,
    OperationStuck,
    OperationSucceeded,
    WealthSubscribeRequested,
)
from shanmen.contracts.orders import OrderPaid
from shanmen.settlement.domain.wealth import WealthMoveKind
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import wealth
from shanmen.settlement.usecases.moving import (
    finish_move,
    list_refused,
    park_move,
    refuse_move,
)
from shanmen.settlement.usecases.redeeming import decide_again_for_order


async def invest_order(tx: Tx, paid: OrderPaid, ctx: SettlementContext) -> None:
    """Invest the price of an order, where its product says so. The order is locked."""
    if paid.invests and paid.price_fen > 0:
        await wealth.share_product(tx, paid.product_id)
        await invest(
            tx,
            ctx,
            new_id("sub"),
            order_no=paid.order_no,
            product_id=paid.product_id,
            amount_fen=paid.price_fen,
        )


async def invest(
    tx: Tx,
    ctx: SettlementContext,
    move_id: str,
    *,
    order_no: str,
    product_id: str,
    amount_fen: int,
) -> None:
    """Open a subscription, and ask the gateway for it. The locks are the caller's."""
    await wealth.add_move(
        tx,
        {
            "move_id": move_id,
            "kind": WealthMoveKind.SUBSCRIBE,
            "product_id": product_id,
            "order_no": order_no,
            "amount_fen": amount_fen,
            "requested_at": ctx.clock.now(),
        },
    )
    request = WealthSubscribeRequested(
        operation_id=move_id,
        product_id=product_id,
        order_no=order_no,
        amount_fen=amount_fen,
        description=f"订单 {order_no} 理财申购",
    )
    await ctx.outbox.add(tx, [request])


async def settle_subscription(
    tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext
) -> None:
    """Book a subscription, and let what ended meanwhile come out again.

    Raises NotYet, Contradiction.
    """
    done = await finish_move(tx, succeeded, ctx)
    if done is None:
        return
    # Told after the liquidation that took it along: nothing of the product is left.
    if await wealth.outstanding_fen(tx, done.product_id) <= 0:
        liquidation_id = await wealth.last_liquidated_by(tx, done.product_id)
        if liquidation_id is not None:
            await wealth.mark_liquidated(tx, done.product_id, liquidation_id, until=None)
    await decide_again_for_order(tx, done.order_no, ctx)


async def park_subscription(tx: Tx, stuck: OperationStuck, ctx: SettlementContext) -> None:
    """Mark a subscription that waits for a person; nothing waits for it. Raises NotYet."""
    parked = await park_move(tx, stuck, ctx)
    if parked is not None:
        await decide_again_for_order(tx, parked.order_no, ctx)


async def fail_subscription(tx: Tx, failed: OperationFailed, ctx: SettlementContext) -> None:
    """Mark a subscription that the channel refused for good: its order stays uninvested, unless a
    person starts another. Raises NotYet, Contradiction."""
    refused = await refuse_move(tx, failed)
    if refused is not None:
        await list_refused(tx, refused, failed, ctx)
        await decide_again_for_order(tx, refused.order_no, ctx)
