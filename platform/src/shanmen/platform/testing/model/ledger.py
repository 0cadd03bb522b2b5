"""The model's ledger: real postings, each business fact once."""

from dataclasses import dataclass, field
from typing import Final

from shanmen.common.clock import Clock
from shanmen.settlement.domain.ledger import (
    Posting,
    balance_fen,
    posting_for_debit,
    posting_for_payout_outside,
    posting_for_refund_outside,
    posting_for_unexplained,
)

CHANNEL: Final = "alipay"
ORDER_NO: Final = "ord_1"


@dataclass
class Ledger:
    """Postings by their keys; a fact that is booked is left alone."""

    clock: Clock
    postings: dict[str, Posting] = field(default_factory=dict)

    def post(self, posting: Posting) -> None:
        """Book a fact, once."""
        self.postings.setdefault(posting.key, posting)

    def balance_fen(self, account: str) -> int:
        """What an account holds, positive on the side that it grows on."""
        entries = [
            entry
            for posting in self.postings.values()
            for entry in posting.entries
            if entry.account == account
        ]
        debit_fen = sum(entry.debit_fen for entry in entries)
        return balance_fen(account, debit_fen, sum(entry.credit_fen for entry in entries))

    def debit(self, number: str, price_fen: int, fee_fen: int) -> None:
        """A distributor was debited."""
        self.post(
            posting_for_debit(
                operation_id=number,
                order_no=ORDER_NO,
                channel=CHANNEL,
                price_fen=price_fen,
                fee_fen=fee_fen,
                occurred_at=self.clock.now(),
            )
        )

    def unexplained(self, number: str, amount_fen: int) -> None:
        """Money moved under a number that was dead for certain."""
        self.post(
            posting_for_unexplained(
                operation_id=number,
                order_no=ORDER_NO,
                channel=CHANNEL,
                amount_fen=amount_fen,
                occurred_at=self.clock.now(),
            )
        )

    def is_unexplained(self, number: str) -> bool:
        """Whether that happened."""
        return f"unexplained:{number}" in self.postings

    def payout_outside(
        self, number: str, *, spot_id: str, amount_fen: int, paid_from: str
    ) -> None:
        """A spot was paid outside of the platform."""
        self.post(
            posting_for_payout_outside(
                payout_id=number,
                order_no=ORDER_NO,
                spot_id=spot_id,
                amount_fen=amount_fen,
                paid_from=paid_from,
                occurred_at=self.clock.now(),
            )
        )

    def refund_outside(self, number: str, *, part_fen: int, fee_fen: int, paid_from: str) -> None:
        """A distributor was refunded outside of the platform."""
        self.post(
            posting_for_refund_outside(
                refund_id=number,
                order_no=ORDER_NO,
                part_fen=part_fen,
                fee_fen=fee_fen,
                paid_from=paid_from,
                occurred_at=self.clock.now(),
            )
        )
