"""The work list itself: things come onto it when they are stuck and leave it when they end.

Whoever changes both takes the locks in one order: the payout or refund, its item, its actions.
"""

from shanmen.common.db import Tx
from shanmen.common.ids import new_id
from shanmen.common.money import to_yuan
from shanmen.contracts.gateway import SmsRequested
from shanmen.settlement.domain.work import (
    PLATFORM_IS_SHORT,
    TOLD_BY_OTHERS,
    Stuck,
    WorkFamily,
)
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import actions, work


async def put_on_work_list(tx: Tx, ctx: SettlementContext, stuck: Stuck) -> None:
    """Open an item for what is stuck, or bring its open item up to date; tell operators once.

    Of an empty channel account they are told once per shortage, of anything else once per item
    and kind.
    """
    item_id, is_news = await work.put(tx, new_id("wrk"), stuck, ctx.clock.now())
    if stuck.kind in TOLD_BY_OTHERS:
        return
    if stuck.kind in PLATFORM_IS_SHORT:
        shortage_id = new_id("shg")
        if await work.begin_shortage(tx, shortage_id, stuck.channel, ctx.clock.now()):
            await _text_operations(tx, ctx, f"sms_{shortage_id}", stuck)
    elif is_news:
        await _text_operations(tx, ctx, f"sms_{item_id}_{stuck.kind}", stuck)


async def take_off_work_list(
    tx: Tx, ctx: SettlementContext, family: WorkFamily, subject_id: str, *, how: str
) -> None:
    """Close the open item of a thing that has ended, if it has one.

    `how` is kept as the item's resolution. Actions that waited for approval lapse. Not for things
    that a person merely started again: they stay on the list until they end.
    """
    now = ctx.clock.now()
    item_id = await work.close(tx, family, subject_id, resolution=how, at=now)
    if item_id is not None:
        await actions.lapse(tx, item_id, at=now)


async def end_shortage(tx: Tx, ctx: SettlementContext, channel: str) -> None:
    """A channel account has money again: the next shortage is told anew."""
    await work.end_shortage(tx, channel, ctx.clock.now())


async def _text_operations(tx: Tx, ctx: SettlementContext, sms_id: str, stuck: Stuck) -> None:
    params = {
        "amount_yuan": to_yuan(stuck.amount_fen),
        "subject": stuck.subject_id,
        "channel": stuck.channel,
        "reason": stuck.reason,
    }
    request = SmsRequested(
        sms_id=sms_id, recipient=SmsRequested.OPERATIONS, template=stuck.kind, params=params
    )
    await ctx.outbox.add(tx, [request])
