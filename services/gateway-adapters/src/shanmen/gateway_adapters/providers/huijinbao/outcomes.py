"""What Huijinbao's answers mean, as data: return codes per method, and status words.

Source: Huijinbao interface v2, its return codes and the order status table that it has had since
its first interface. Decisions rest on `resp_code`, `trans_stat` and `order_status` only, never on
the descriptions. What is not listed here is `Outcome.UNKNOWN`. An answer to a query or a
cancellation speaks of the operation, not of the call: there a refused call is never `FINAL`, which
would say that the money can no longer move.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shanmen.gateway_adapters.domain.operations import Outcome

SUCCESS: Final = "00000000"
"""The call was taken. Whether the money moved, `trans_stat` says."""

BILL_NOT_READY: Final = "NOT_READY"
"""The `status` of a bill that is not made yet: before 09:30 of the next day."""


class Method(StrEnum):
    """A method of the interface."""

    PAY = "pay"
    TRANSFER = "transfer"
    REFUND = "refund"
    QUERY = "order.query"
    CANCEL = "order.cancel"
    SUBSCRIBE = "wealth.subscribe"
    REDEEM = "wealth.redeem"
    LIQUIDATE = "wealth.liquidate"
    BALANCE = "account.balance.query"
    BILL = "bill.query"
    POSITION = "wealth.position.query"


_ANY_METHOD: Final[Mapping[str, Outcome]] = {
    "00000100": Outcome.PENDING,  # processing
    "HJB_0001": Outcome.CONFIG,  # missing field
    "HJB_0006": Outcome.CONFIG,  # format
    "HJB_0090": Outcome.THROTTLED,  # rate limited
    "HJB_0098": Outcome.CONFIG,  # our signature, our clock
    "HJB_0099": Outcome.UNKNOWN,  # system error, before or after the money moved
}

_ANY_ORDER: Final[Mapping[str, Outcome]] = {
    "HJB_0005": Outcome.FUNDS,  # the payer's balance, or a wealth position
    "HJB_0023": Outcome.CONFLICT,  # the number is used, with other data
    "HJB_0040": Outcome.FUNDS,  # a quota, which a later day lifts
}

# An account of the other side that is missing or abnormal ends the operation: another one must be
# given. Our own is ours to mend, under the same number.
_PAYER_MISSING, _PAYEE_MISSING = "HJB_0007", "HJB_0008"
_PAYER_ABNORMAL, _PAYEE_ABNORMAL = "HJB_0009", "HJB_0010"
_PAYER_IS_OURS: Final[Mapping[str, Outcome]] = {
    _PAYER_MISSING: Outcome.CONFIG,
    _PAYER_ABNORMAL: Outcome.CONFIG,
    _PAYEE_MISSING: Outcome.FINAL,
    _PAYEE_ABNORMAL: Outcome.FINAL,
}
_PAYEE_IS_OURS: Final[Mapping[str, Outcome]] = {
    _PAYER_MISSING: Outcome.FINAL,
    _PAYER_ABNORMAL: Outcome.FINAL,
    _PAYEE_MISSING: Outcome.CONFIG,
    _PAYEE_ABNORMAL: Outcome.CONFIG,
}
_BOTH_ARE_OURS: Final[Mapping[str, Outcome]] = {
    _PAYER_MISSING: Outcome.CONFIG,
    _PAYER_ABNORMAL: Outcome.CONFIG,
    _PAYEE_MISSING: Outcome.CONFIG,
    _PAYEE_ABNORMAL: Outcome.CONFIG,
}

_INVESTED: Final[Mapping[str, Outcome]] = {
    "HJB_0019": Outcome.FINAL,  # nothing was ever invested
    "HJB_0050": Outcome.CONFIG,
    "HJB_0051": Outcome.FUNDS,  # the day's limit of fast redemptions
}

RESP_CODES: Final[Mapping[Method, Mapping[str, Outcome]]] = {
    Method.PAY: {**_ANY_METHOD, **_ANY_ORDER, **_PAYEE_IS_OURS},
    Method.TRANSFER: {**_ANY_METHOD, **_ANY_ORDER, **_PAYER_IS_OURS},
    Method.REFUND: {
        **_ANY_METHOD,
        **_ANY_ORDER,
        **_PAYER_IS_OURS,
        "HJB_0019": Outcome.FINAL,  # there is no such debit to give back
    },
    # Closed to new money for good; what is in it has to come out, with a person's help.
    Method.SUBSCRIBE: {
        **_ANY_METHOD,
        **_ANY_ORDER,
        **_BOTH_ARE_OURS,
        "HJB_0050": Outcome.FINAL,
    },
    Method.REDEEM: {
        **_ANY_METHOD,
        **_ANY_ORDER,
        **_BOTH_ARE_OURS,
        **_INVESTED,
    },
    Method.LIQUIDATE: {
        **_ANY_METHOD,
        **_ANY_ORDER,
        **_BOTH_ARE_OURS,
        **_INVESTED,
    },
    Method.QUERY: {**_ANY_METHOD, "HJB_0021": Outcome.ABSENT},
    Method.CANCEL: {**_ANY_METHOD, "HJB_0019": Outcome.ABSENT, "HJB_0021": Outcome.ABSENT},
    Method.BALANCE: _ANY_METHOD,
    Method.BILL: _ANY_METHOD,
    Method.POSITION: _ANY_METHOD,
}
"""What each method's return codes mean, but for SUCCESS."""

_ORDER_WORDS: Final[Mapping[str, Outcome]] = {
    "S": Outcome.OK,
    "P": Outcome.PENDING,
    "F": Outcome.FINAL,
}

TRANS_STAT: Final[Mapping[Method, Mapping[str, Outcome]]] = {
    **dict.fromkeys(
        (
            *(Method.PAY, Method.TRANSFER, Method.REFUND, Method.QUERY),
            *(Method.SUBSCRIBE, Method.REDEEM, Method.LIQUIDATE),
        ),
        _ORDER_WORDS,
    ),
    # Not cancelled: the order stands as it was, paid or not. A query tells.
    Method.CANCEL: {"S": Outcome.OK, "P": Outcome.PENDING, "F": Outcome.UNKNOWN},
}
"""What `trans_stat` says once a method was taken: S success, P processing, F failed."""


@dataclass(frozen=True)
class OrderStatus:
    """What a query's `order_status` means, and the `trans_stat` that may come with it."""

    outcome: Outcome
    trans_stat: str


_UNDECIDED: Final = OrderStatus(Outcome.PENDING, "P")
_REFUSED: Final = OrderStatus(Outcome.FINAL, "F")
_CAME_BACK: Final = OrderStatus(Outcome.FINAL, "SF")
_MOVED: Final = OrderStatus(Outcome.OK, "S")

ORDER_STATUS: Final[Mapping[str, OrderStatus]] = {
    "0": _UNDECIDED,  # unpaid
    "1": _MOVED,  # success
    "2": _REFUSED,  # failed
    "3": _UNDECIDED,  # in transit
    "4": _REFUSED,  # closed
    "5": _REFUSED,  # cancelled
    "6": _UNDECIDED,  # to be reviewed
    "7": _UNDECIDED,  # approved, and not yet carried out
    "8": _REFUSED,  # rejected
    "9": _CAME_BACK,  # returned (退票)
    "10": _UNDECIDED,  # suspicious
    "20": _UNDECIDED,  # paid, and not yet ours: awaiting shipment
    "30": _UNDECIDED,  # shipped, awaiting receipt
    "40": _UNDECIDED,  # delayed payment under review
    "50": OrderStatus(Outcome.PENDING, "SP"),  # refunding
    "51": _CAME_BACK,  # refunded
    "52": _MOVED,  # the refund failed: the money is where it was
    "60": _CAME_BACK,  # reversed
}
"""The order status table. A status that comes with another `trans_stat` decides nothing."""


def code_outcome(method: Method, resp_code: str) -> Outcome:
    """What a return code other than SUCCESS means."""
    return RESP_CODES[method].get(resp_code, Outcome.UNKNOWN)


def is_listed(method: Method, resp_code: str) -> bool:
    """Whether the tables know this code. An unlisted one is unknown, and worth an alarm."""
    return resp_code in RESP_CODES[method]
