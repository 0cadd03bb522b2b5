"""Every method that the interface serves, as data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shanmen.simulators.books import Books
from shanmen.simulators.faults import Parties
from shanmen.simulators.huijinbao import orders, wealth
from shanmen.simulators.huijinbao.methods import account, bill, order, payment
from shanmen.simulators.huijinbao.methods import wealth as wealth_methods
from shanmen.simulators.huijinbao.methods.call import Call
from shanmen.simulators.huijinbao.wire import Answer

Handler = Callable[[Books, Call], Answer]


@dataclass(frozen=True)
class Method:
    """One method: its handler, where its numbers are, whose money it is about.

    `number_fields` identify the business, most specific first. `is_kept`: it changes something,
    so one `req_seq_id` does it once and gets the same answer for ever. `moves_money`: it makes
    an order.
    """

    handler: Handler
    number_fields: tuple[str, ...]
    parties: Callable[[Books, Call], Parties]
    is_kept: bool = False
    moves_money: bool = False


def _named_accounts(_books: Books, call: Call) -> Parties:
    payer_no, payee_no = call.data.get("pay_cst_no"), call.data.get("rcv_cst_no")
    return Parties(payer_no or call.data.get("cst_no"), payee_no)


def _accounts_of_order(books: Books, call: Call) -> Parties:
    named = {name: str(call.data.get(name) or "") for name in ("org_req_seq_id", "hjb_seq_id")}
    row = orders.find(
        books,
        call.merchant_id,
        req_seq_id=named["org_req_seq_id"],
        hjb_seq_id=named["hjb_seq_id"],
    )
    return Parties(row["payer_no"], row["payee_no"]) if row else Parties(None, None)


def _accounts_of_refund(books: Books, call: Call) -> Parties:
    original = _accounts_of_order(books, call)
    return Parties(original.payee_no, original.payer_no)


def _investor_pays(books: Books, call: Call) -> Parties:
    return Parties(call.account_no, _fund_no(books, call))


def _fund_pays(books: Books, call: Call) -> Parties:
    return Parties(_fund_no(books, call), call.account_no)


def _fund_no(books: Books, call: Call) -> str | None:
    product = wealth.find_product(books, str(call.data.get("product_code") or ""))
    return product["account_no"] if product else None


def _money(
    handler: Handler,
    parties: Callable[[Books, Call], Parties],
    number_fields: tuple[str, ...] = ("req_seq_id",),
) -> Method:
    return Method(handler, number_fields, parties, is_kept=True, moves_money=True)


def _kept(handler: Handler) -> Method:
    return Method(handler, ("req_seq_id", "agreement_no"), _named_accounts, is_kept=True)


def _question(
    handler: Handler,
    number_fields: tuple[str, ...] = (),
    parties: Callable[[Books, Call], Parties] = _named_accounts,
) -> Method:
    return Method(handler, number_fields, parties)


_OF_AN_ORDER: Final = ("org_req_seq_id", "hjb_seq_id")

METHODS: Final[dict[str, Method]] = {
    "account.open": _kept(account.open_account),
    "account.balance.query": _question(account.query_balance),
    "agreement.sign": _kept(account.sign_agreement),
    "agreement.query": _question(account.query_agreement, ("agreement_no",)),
    "agreement.unsign": _kept(account.unsign_agreement),
    "pay": _money(payment.pay, _named_accounts),
    "transfer": _money(payment.transfer, _named_accounts),
    "refund": _money(payment.refund, _accounts_of_refund, ("req_seq_id", "org_req_seq_id")),
    "order.query": _question(order.query, _OF_AN_ORDER, _accounts_of_order),
    "order.cancel": _question(order.cancel, _OF_AN_ORDER, _accounts_of_order),
    "wealth.subscribe": _money(wealth_methods.subscribe, _investor_pays),
    "wealth.redeem": _money(wealth_methods.redeem, _fund_pays),
    "wealth.liquidate": _money(wealth_methods.liquidate, _fund_pays),
    "wealth.position.query": _question(wealth_methods.query_position, ("biz_no",)),
    "wealth.yield.query": _question(wealth_methods.query_yield, ("biz_no",)),
    "bill.query": _question(bill.query, ("bill_type", "bill_date")),
}


def numbers_of(method: Method, call: Call) -> list[str]:
    """The business numbers that a call names, most specific first."""
    found = (call.data.get(name) for name in method.number_fields)
    return [number for number in found if isinstance(number, str) and number]
