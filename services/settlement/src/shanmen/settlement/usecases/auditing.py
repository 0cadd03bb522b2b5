"""The audit trail: what people did about money, and anchors of the ledger in between.

What the platform does by itself is in the ledger and in the histories of payouts and refunds. It
is not noted row by row, as all money would then queue for the head of one chain. Instead the
ledger is anchored every hour: the digests in the chain vouch for each of its postings.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from shanmen.common import audit
from shanmen.common.audit import Fault, Head
from shanmen.common.clock import Clock
from shanmen.common.db import Database, Tx
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import anchors

log = logging.getLogger(__name__)

SETTLED_S: Final = 600
"""No transaction lasts that long: what is older is complete."""

MOST_POSTINGS: Final = 10_000
"""In one anchor, so that making and checking one stays a short statement."""


async def note(
    tx: Tx,
    clock: Clock,
    *,
    actor: str,
    action: str,
    subject: str,
    details: Mapping[str, Any],
) -> None:
    """Add what a person did to the chain, in the transaction in which it takes effect.

    Not for what the platform does by itself. Call it last: whoever notes something keeps all
    others from noting until its transaction ends.
    """
    await audit.append(
        tx, at=clock.now(), actor=actor, action=action, subject=subject, details=details
    )


async def anchor_ledger(
    ctx: SettlementContext, *, settled_s: int = SETTLED_S, most: int = MOST_POSTINGS
) -> int:
    """Put digests of all postings that have no anchor yet into the chain; returns how many.

    The head is logged each time: a log kept elsewhere shows whether the chain was cut off.
    """
    made = 0
    while await _anchor_next(ctx, settled_s, most):
        made += 1
    async with ctx.db.transaction() as tx:
        head = await audit.head(tx)
    log.info("head of the audit trail", extra={"seq": head.seq, "hash": head.hash})
    return made


async def verify_audit(database_url: str, expected_head: Head | None = None) -> Fault | None:
    """The first row of a settlement database's trail that does not fit, None if all do.

    An anchor does not fit when the postings that it vouches for are not those that it saw.
    """
    database = Database(database_url, pool_size=1, application_name="shanmen-audit")
    try:
        async with database.snapshot() as tx:
            broken = await audit.verify(tx, expected_head=expected_head)
            changed = await _first_changed_anchor(tx)
    finally:
        await database.close()
    faults = [fault for fault in (broken, changed) if fault is not None]
    return min(faults, key=lambda fault: fault.seq, default=None)


async def _anchor_next(ctx: SettlementContext, settled_s: int, most: int) -> bool:
    async with ctx.db.transaction() as tx:
        # Held from the start: two workers never anchor the same postings.
        await audit.hold(tx)
        last = await anchors.last_anchor(tx)
        after = json.loads(last)["upto"] if last is not None else 0
        found = await anchors.range_after(tx, after, settled_s=settled_s, most=most)
        if found.last_id is None:
            return False
        digest = await anchors.digest(tx, after, found.last_id)
        details = {"after": after, "upto": found.last_id, **digest._asdict()}
        await note(
            tx,
            ctx.clock,
            actor="settlement",
            action=anchors.ANCHORED,
            subject="ledger",
            details=details,
        )
    return True


async def _first_changed_anchor(tx: Tx) -> Fault | None:
    known = [row async for row in anchors.anchors(tx)]
    for seq, text in known:
        details = _range_of(text)
        if details is None:
            continue  # not as it was written, which the chain itself shows
        digest = await anchors.digest(tx, details["after"], details["upto"])
        if any(details.get(name) != value for name, value in digest._asdict().items()):
            numbers = f"{details['after'] + 1} to {details['upto']}"
            return Fault(seq, f"postings {numbers} are not those that it vouches for")
    return None


def _range_of(text: str) -> dict[str, Any] | None:
    try:
        details = json.loads(text)
    except ValueError:
        return None
    bounds = (details.get("after"), details.get("upto")) if isinstance(details, dict) else ()
    return details if bounds and all(isinstance(bound, int) for bound in bounds) else None
