"""alipay.user.agreement.query and alipay.fund.account.query: what stands, without moving it."""

from typing import Final

from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.trades import masked
from shanmen.simulators.alipay.wire import Answer, Refusal, success, yuan
from shanmen.simulators.books import Books
from shanmen.simulators.moments import china_time

_ACCOUNT_TYPE: Final = "ACCTRANS_ACCOUNT"
_NO_END: Final = "2115-02-01 00:00:00"


def agreement_query(books: Books, call: Call) -> Answer:
    """The state of a withholding agreement, by `agreement_no`."""
    agreement_no = call.required("agreement_no", 64)
    agreement = books.row(
        "SELECT agreements.*, user_id, logon_id FROM agreements JOIN accounts USING (account_no)"
        " WHERE agreement_no = ?",
        agreement_no,
    )
    if agreement is None:
        raise Refusal("USER_AGREEMENT_NOT_EXIST", "用户协议不存在")
    if agreement["status"] == "UNSIGN":
        raise Refusal("AGREEMENT_HAS_UNSIGNED", "协议已解约")
    quota_fen = agreement["single_quota_fen"]
    signed = china_time(agreement["signed_ms"])
    return success(
        agreement_no=agreement_no,
        status=agreement["status"],
        principal_id=agreement["user_id"],
        principal_type="CARD",
        alipay_logon_id=masked(agreement["logon_id"]),
        personal_product_code="GENERAL_WITHHOLDING_P",
        sign_time=signed,
        valid_time=signed,
        invalid_time=_NO_END,
        single_quota=None if quota_fen is None else yuan(quota_fen),
    )


def account_query(books: Books, call: Call) -> Answer:
    """The merchant's own balance."""
    if call.required("account_type") != _ACCOUNT_TYPE:
        raise call.invalid(f"account_type must be {_ACCOUNT_TYPE}")
    own = books.account(call.merchant_no)
    if own is None:
        raise LookupError(f"app {call.app['app_id']} acts for an account that does not exist")
    if call.text("alipay_user_id") not in (None, own["user_id"]):
        raise Refusal("NO_PERMISSION_ACCOUNT", "无权限查询该账户")
    return success(available_amount=yuan(own["balance_fen"]), freeze_amount=yuan(0))
