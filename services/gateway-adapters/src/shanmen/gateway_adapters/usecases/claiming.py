"""Claims: the intent of one attempt, committed before the call is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.gateway_adapters.domain.operations import Action, Channel
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.queries import circuits
from shanmen.gateway_adapters.queries import operations as queries
from shanmen.gateway_adapters.queries.listing import Rows


@dataclass(frozen=True)
class Claim:
    """One attempt that this process may make until its lease runs out.

    `operation` is the row as it was before the claim.
    """

    operation: Row[Any]
    action: Action
    lease: int
    until: datetime

    @property
    def operation_id(self) -> str:
        """The number of the operation."""
        return str(self.operation.operation_id)

    @property
    def channel(self) -> Channel:
        """The channel that is called."""
        return Channel(self.operation.channel)


async def claim_operations(ctx: GatewayContext, limits: Mapping[Channel, int]) -> Sequence[Claim]:
    """Commit the intent of one attempt for each due operation, so many per channel.

    A channel whose circuit is open has none: its operations wait as they are.
    """
    now = ctx.clock.now()
    until = _lease_end(ctx, now)
    claims: list[Claim] = []
    async with ctx.db.transaction() as tx:
        for channel, limit in limits.items():
            if limit > 0:
                rows = await queries.claim_due(
                    tx, channel, now=now, leased_until=until, limit=limit
                )
                claims += _due_claims(rows, until)
    return claims


async def claim_rechecks(ctx: GatewayContext, limits: Mapping[Channel, int]) -> Sequence[Claim]:
    """Commit the intent of a query for failed operations that are due to be asked about again."""
    now = ctx.clock.now()
    until = _lease_end(ctx, now)
    claims: list[Claim] = []
    async with ctx.db.transaction() as tx:
        for channel, limit in limits.items():
            if limit > 0:
                rows = await queries.claim_rechecks(
                    tx, channel, now=now, leased_until=until, limit=limit
                )
                claims += _recheck_claims(rows, until)
    return claims


async def claim_probe(ctx: GatewayContext, channel: Channel) -> Sequence[Claim]:
    """Commit the intent of one call to a channel that counts as down, if nobody else may make it.

    Over all processes such calls are at least `circuit_probe_s` apart.
    """
    now = ctx.clock.now()
    async with ctx.db.transaction() as tx:
        if not await circuits.lock_probe(tx, channel, now):
            return ()
        claims = await _claim_one(tx, channel, now, _lease_end(ctx, now))
        if claims:
            pause = timedelta(seconds=ctx.settings.circuit_probe_s)
            await circuits.plan_probe(tx, channel, now + pause)
    return claims


async def _claim_one(tx: Tx, channel: Channel, now: datetime, until: datetime) -> Sequence[Claim]:
    rows = await queries.claim_due(tx, channel, now=now, leased_until=until, limit=1, probe=True)
    if rows:
        return _due_claims(rows, until)
    rows = await queries.claim_rechecks(
        tx, channel, now=now, leased_until=until, limit=1, probe=True
    )
    return _recheck_claims(rows, until)


def _due_claims(rows: Rows, until: datetime) -> list[Claim]:
    return [Claim(row, Action(row.next_action), row.lease + 1, until) for row in rows]


def _recheck_claims(rows: Rows, until: datetime) -> list[Claim]:
    return [Claim(row, Action.QUERY, row.lease + 1, until) for row in rows]


def _lease_end(ctx: GatewayContext, now: datetime) -> datetime:
    return now + timedelta(seconds=ctx.settings.attempt_lease_s)
