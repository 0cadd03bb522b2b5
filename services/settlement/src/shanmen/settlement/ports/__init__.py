"""What settlement's routes, handlers and jobs are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Protocol

from shanmen.common.auth import Introspector
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.outbox import Outbox
from shanmen.contracts.bills import WealthPosition
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.domain.reconciliation import Bill


class Receivers(Protocol):
    """Knows where spots are paid now (收款账户)."""

    async def current(self, spot_id: str) -> AccountRef:
        """A spot's receive account. Raises NotFound without one, Unavailable when nobody knows."""


class Positions(Protocol):
    """Knows what is invested for a product (理财持仓), as the channel says."""

    async def position(self, product_id: str) -> WealthPosition:
        """A product's position at this moment. Raises Unavailable when nobody knows."""


class Bills(Protocol):
    """Knows the channels' bills (账单)."""

    async def bill(
        self, channel: str, day: date, *, refetch: bool = False, only: frozenset[str] | None = None
    ) -> Bill:
        """A channel's bill of a day, all of it or the rows under any of these numbers.

        `refetch` asks the channel again. Raises Conflict while there is none, Invalid for one that
        cannot be read (it names the place), Unavailable when the answer is not whole.
        """


@dataclass(frozen=True)
class SettlementContext:
    """Settlement's ports.

    `payout_minimum_fen` is the least that each channel pays out at once; every `pay_waiting_s`
    what waited for more is looked at. Above `four_eyes_above_fen` a person's action needs another
    person's approval. Every `liquidate_every_s` products that have ended are looked for, every
    `accruals_every_s` the channel is asked what invested money has earned. From
    `reconcile_at` (China time) on, the day before is reconciled; what is within `reconcile_edge`
    of a midnight may be in the bill of the day next to it.
    """

    db: Database
    tokens: Introspector
    clock: Clock
    outbox: Outbox
    payout_minimum_fen: Mapping[str, int]
    pay_waiting_s: float
    four_eyes_above_fen: int
    receivers: Receivers
    positions: Positions
    liquidate_every_s: float
    accruals_every_s: float
    bills: Bills
    reconcile_at: time
    reconcile_edge: timedelta
