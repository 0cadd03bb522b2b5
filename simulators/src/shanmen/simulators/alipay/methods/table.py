"""Every method that the gateway serves, as data."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shanmen.simulators.alipay import trades
from shanmen.simulators.alipay.methods import agreement, bill, refund, trade, transfer
from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.wire import Answer
from shanmen.simulators.books import Books
from shanmen.simulators.faults import Parties


@dataclass(frozen=True)
class Method:
    """One method: its handler, its own names for the common troubles, where its numbers are.

    `number_fields` are the content fields that identify the business, most specific first;
    `short_balance` is None for a method that moves no money.
    """

    handler: Callable[[Books, Call], Answer]
    invalid_parameter: str
    system_error: str
    number_fields: tuple[str, ...]
    parties: Callable[[Books, Call], Parties]
    short_balance: str | None = None


def _named_trade(books: Books, call: Call) -> sqlite3.Row | None:
    return trades.find(
        books,
        call.merchant_no,
        trade_no=str(call.content.get("trade_no") or ""),
        out_trade_no=str(call.content.get("out_trade_no") or ""),
    )


def _payment_parties(books: Books, call: Call) -> Parties:
    named = call.content.get("agreement_params")
    agreement_no = named.get("agreement_no") if isinstance(named, dict) else None
    row = books.row("SELECT account_no FROM agreements WHERE agreement_no = ?", str(agreement_no))
    return Parties(row["account_no"] if row else None, call.merchant_no)


def _trade_parties(books: Books, call: Call) -> Parties:
    row = _named_trade(books, call)
    return Parties(row["buyer_no"] if row else None, call.merchant_no)


def _refund_parties(books: Books, call: Call) -> Parties:
    row = _named_trade(books, call)
    return Parties(call.merchant_no, row["buyer_no"] if row else None)


def _transfer_parties(books: Books, call: Call) -> Parties:
    payee = call.content.get("payee_info")
    identity = payee.get("identity") if isinstance(payee, dict) else None
    if identity is not None:
        row = books.row(
            "SELECT account_no FROM accounts WHERE user_id = ?1 OR logon_id = ?1", str(identity)
        )
    else:
        row = books.row(
            "SELECT payee_no AS account_no FROM transfers WHERE merchant_no = ?1"
            " AND ?2 IN (out_biz_no, order_id, pay_fund_order_id)",
            call.merchant_no,
            str(call.content.get("out_biz_no") or call.content.get("order_id")),
        )
    return Parties(call.merchant_no, row["account_no"] if row else None)


def _own_account(_books: Books, call: Call) -> Parties:
    return Parties(call.merchant_no, None)


_OF_A_TRADE: Final = ("out_trade_no", "trade_no")
_OF_A_REFUND: Final = ("out_request_no", *_OF_A_TRADE)
_OF_A_TRANSFER: Final = ("out_biz_no", "order_id", "pay_fund_order_id")
_OF_A_BILL: Final = ("bill_type", "bill_date")


def _trade_method(
    handler: Callable[[Books, Call], Answer],
    number_fields: tuple[str, ...] = _OF_A_TRADE,
    parties: Callable[[Books, Call], Parties] = _trade_parties,
    short_balance: str | None = None,
) -> Method:
    return Method(
        handler,
        "ACQ.INVALID_PARAMETER",
        "ACQ.SYSTEM_ERROR",
        number_fields,
        parties,
        short_balance,
    )


def _fund_method(
    handler: Callable[[Books, Call], Answer],
    number_fields: tuple[str, ...],
    parties: Callable[[Books, Call], Parties],
    short_balance: str | None = None,
) -> Method:
    return Method(
        handler, "INVALID_PARAMETER", "SYSTEM_ERROR", number_fields, parties, short_balance
    )


BILL_METHOD: Final = "alipay.data.dataservice.bill.downloadurl.query"
METHODS: Final[dict[str, Method]] = {
    "alipay.trade.pay": _trade_method(
        trade.pay, parties=_payment_parties, short_balance="ACQ.BUYER_BALANCE_NOT_ENOUGH"
    ),
    "alipay.trade.query": _trade_method(trade.query),
    "alipay.trade.cancel": _trade_method(
        trade.cancel, parties=_refund_parties, short_balance="ACQ.SELLER_BALANCE_NOT_ENOUGH"
    ),
    "alipay.trade.close": _trade_method(trade.close),
    "alipay.trade.refund": _trade_method(
        refund.refund, _OF_A_REFUND, _refund_parties, "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    ),
    "alipay.trade.fastpay.refund.query": _trade_method(
        refund.refund_query, _OF_A_REFUND, _refund_parties
    ),
    "alipay.fund.trans.uni.transfer": _fund_method(
        transfer.transfer, _OF_A_TRANSFER, _transfer_parties, "PAYER_BALANCE_NOT_ENOUGH"
    ),
    "alipay.fund.trans.common.query": _fund_method(
        transfer.transfer_query, _OF_A_TRANSFER, _transfer_parties
    ),
    "alipay.fund.account.query": _fund_method(agreement.account_query, (), _own_account),
    "alipay.user.agreement.query": _fund_method(
        agreement.agreement_query, ("agreement_no",), _own_account
    ),
    BILL_METHOD: Method(
        bill.query, "INVAILID_ARGUMENTS", "UNKNOWN_ERROR", _OF_A_BILL, _own_account
    ),
}


def numbers_of(method: Method, call: Call) -> list[str]:
    """The business numbers that a call names, most specific first."""
    found = (call.content.get(name) for name in method.number_fields)
    return [number for number in found if isinstance(number, str) and number]
