"""Circuits: a channel that does not answer is left alone, but for a probe now and then.

A circuit is a row that all processes share. It opens after so many calls in a row, counted by
each process for itself, that brought no verified answer, and any verified answer closes it. While
a channel answers nothing is written, and the claim of what is due looks at the row by itself.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import Contact
from shanmen.gateway_adapters.queries import circuits as queries

log = logging.getLogger(__name__)


class Breaker:
    """What this process knows of the circuits, and what it adds to them."""

    def __init__(self, ctx: GatewayContext) -> None:
        self._ctx = ctx
        self._silent: Counter[Channel] = Counter()
        self._open: set[Channel] = set()

    @property
    def open_channels(self) -> frozenset[Channel]:
        """The channels that counted as down at the last look."""
        return frozenset(self._open)

    async def look(self) -> frozenset[Channel]:
        """Read the circuits; returns the channels that are back since the last look."""
        async with self._ctx.db.transaction() as tx:
            rows = await queries.circuits(tx)
        is_open = {channel for channel, row in rows.items() if row.opened_at is not None}
        are_back = frozenset(self._open - is_open)
        for channel in are_back:
            self._silent[channel] = 0
        self._open = is_open
        return are_back

    async def note(self, channel: Channel, contact: Contact) -> None:
        """Take in what a call told of its channel."""
        if contact is Contact.VERIFIED:
            self._silent[channel] = 0
            if channel in self._open:
                await self._close(channel)
        elif contact is Contact.SILENT:
            self._silent[channel] += 1
            if self._silent[channel] >= self._ctx.settings.circuit_failures:
                await self._add_failure(channel)

    async def _add_failure(self, channel: Channel) -> None:
        now = self._ctx.clock.now()
        pause = timedelta(seconds=self._ctx.settings.circuit_probe_s)
        async with self._ctx.db.transaction() as tx:
            has_opened = await queries.open_circuit(
                tx,
                channel,
                now=now,
                next_probe_at=now + pause,
                failures=self._silent[channel],
            )
        self._open.add(channel)
        if has_opened:
            log.error("circuit opened: the channel does not answer", extra={"channel": channel})

    async def _close(self, channel: Channel) -> None:
        async with self._ctx.db.transaction() as tx:
            has_closed = await queries.close_circuit(tx, channel)
        if has_closed:
            log.warning("circuit closed: the channel answers again", extra={"channel": channel})


class Pace:
    """Lets so many through a second, and no more at once than fit into `burst_s`."""

    def __init__(
        self, per_s: float, burst_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s * burst_s)
        self._now_s = now_s
        self._left = self._most
        self._seen_s = now_s()

    def allowance(self) -> int:
        """How many may go now."""
        now_s = self._now_s()
        self._left = min(self._most, self._left + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        return int(self._left)

    def spend(self, count: int) -> None:
        """So many went."""
        self._left -= count
