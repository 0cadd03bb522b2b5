"""What settlement's routes, handlers and jobs are given."""

from collections.abc import Mapping
from dataclasses import dataclass

from shanmen.common.auth import Introspector
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.outbox import Outbox


@dataclass(frozen=True)
class SettlementContext:
    """Settlement's ports; `payout_minimum_fen` is the least that each channel pays out at once."""

    db: Database
    tokens: Introspector
    clock: Clock
    outbox: Outbox
    payout_minimum_fen: Mapping[str, int]
