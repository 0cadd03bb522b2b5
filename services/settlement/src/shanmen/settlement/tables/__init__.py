"""Settlement's tables. Constraints carry the safety: what is paid once is not paid again.

Beyond what is declared here, the migration adds triggers to the ledger: a transaction that leaves
a posting out of balance cannot commit, and postings and entries can be neither changed nor
deleted. Another keeps the refunds of a debit within what was debited.
"""

from shanmen.settlement.tables.base import METADATA
from shanmen.settlement.tables.ledger import ENTRIES, POSTINGS
from shanmen.settlement.tables.money import (
    CLOSED_ORDERS,
    DEBITS,
    ENTITLEMENTS,
    ORPHANED_DEBITS,
    PAYOUT_LINES,
    PAYOUTS,
    REFUNDS,
)
from shanmen.settlement.tables.reconciliation import BREAKS, RECONCILIATIONS
from shanmen.settlement.tables.wealth import ACCRUALS, WEALTH_MOVES
from shanmen.settlement.tables.work import (
    APPROVERS,
    AUDIT,
    MANUAL_ACTIONS,
    SHORTAGES,
    WORK_ITEMS,
)

__all__ = [
    "ACCRUALS",
    "APPROVERS",
    "AUDIT",
    "BREAKS",
    "CLOSED_ORDERS",
    "DEBITS",
    "ENTITLEMENTS",
    "ENTRIES",
    "MANUAL_ACTIONS",
    "METADATA",
    "ORPHANED_DEBITS",
    "PAYOUTS",
    "PAYOUT_LINES",
    "POSTINGS",
    "RECONCILIATIONS",
    "REFUNDS",
    "SHORTAGES",
    "WEALTH_MOVES",
    "WORK_ITEMS",
]
