"""alipay.fund.trans.uni.transfer and alipay.fund.trans.common.query."""

import sqlite3
from typing import Final

from shanmen.simulators.alipay import transfers
from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.wire import Answer, Refusal, success, yuan
from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.clearing import is_finished_by_query
from shanmen.simulators.moments import china_time

_PRODUCT: Final = "TRANS_ACCOUNT_NO_PWD"
_SCENE: Final = "DIRECT_TRANSFER"
_MIN_AMOUNT_FEN: Final = 10
_REMARK_NEEDED_FROM_FEN: Final = 50_000_00
_SCENE_NAMES: Final = frozenset(
    {
        "现金营销",
        "企业退款",
        "佣金报酬",
        "业务结算",
        "二手回收",
        "公益补助",
        "行政补贴和退款",
        "保险理赔",
    }
)
_IDENTITY_COLUMNS: Final = {"ALIPAY_USER_ID": "user_id", "ALIPAY_LOGON_ID": "logon_id"}


def transfer(books: Books, call: Call) -> Answer:
    """Pay out to an account. One payout per `out_biz_no`; a repeat answers the same again."""
    out_biz_no = call.required("out_biz_no", 64)
    fingerprint = call.fingerprint("trans_amount")
    known = transfers.find(books, call.merchant_no, out_biz_no=out_biz_no)
    if known is not None:
        if known["fingerprint"] != fingerprint:
            raise Refusal("PAYMENT_INFO_INCONSISTENCY", "两次请求商户单号一样, 但是参数不一致")
        return _transfer_answer(known)
    amount_fen = _read_amount(call)
    _require_product(call)
    payee = _find_payee(books, call)
    new = transfers.NewTransfer(
        merchant_no=call.merchant_no,
        app_id=call.app["app_id"],
        out_biz_no=out_biz_no,
        payee_no=payee["account_no"],
        amount_fen=amount_fen,
        order_title=call.text("order_title", 128),
        remark=call.text("remark", 200),
        product_code=_PRODUCT,
        biz_scene=_SCENE,
        fingerprint=fingerprint,
    )
    try:
        return _transfer_answer(transfers.open_transfer(books, new, call.later))
    except BalanceTooLow:
        raise Refusal("PAYER_BALANCE_NOT_ENOUGH", "付款方余额不足") from None


def _read_amount(call: Call) -> int:
    amount_fen = call.amount_fen("trans_amount")
    if amount_fen < _MIN_AMOUNT_FEN:
        raise Refusal("EXCEED_LIMIT_SM_MIN_AMOUNT", "单笔最低转账金额0.1元")
    if amount_fen >= _REMARK_NEEDED_FROM_FEN and call.text("remark", 200) is None:
        raise Refusal("MEMO_REQUIRED_IN_TRANSFER_ERROR", "单笔转账金额达到5万元, 备注不能为空")
    return amount_fen


def _require_product(call: Call) -> None:
    if call.required("product_code") != _PRODUCT:
        raise call.invalid(f"product_code must be {_PRODUCT}")
    if call.required("biz_scene") != _SCENE:
        raise call.invalid(f"biz_scene must be {_SCENE}")
    scene_name = call.text("transfer_scene_name")
    if scene_name is not None and scene_name not in _SCENE_NAMES:
        raise Refusal("TRANSFER_SCENE_NAME_ILLEGAL", "转账场景名称不合法")


def _find_payee(books: Books, call: Call) -> sqlite3.Row:
    info = call.inner("payee_info")
    identity, identity_type, name = (
        info.get(field) for field in ("identity", "identity_type", "name")
    )
    column = _IDENTITY_COLUMNS.get(str(identity_type))
    if column is None or not isinstance(identity, str):
        raise call.invalid(f"payee_info needs an identity and one of {sorted(_IDENTITY_COLUMNS)}")
    if column == "logon_id" and not name:
        raise call.invalid("payee_info.name is mandatory with ALIPAY_LOGON_ID")
    payee = books.row(f"SELECT * FROM accounts WHERE {column} = ?", identity)
    if payee is None:
        raise Refusal("PAYEE_NOT_EXIST", "收款账号不存在")
    if name and name != payee["name"]:
        raise Refusal("PAYEE_USER_INFO_ERROR", "支付宝账号和姓名不匹配")
    if payee["account_no"] == call.merchant_no:
        raise Refusal("PAYER_PAYEE_CANNOT_SAME", "收付款方不能相同")
    return payee


def _transfer_answer(row: sqlite3.Row) -> Answer:
    return success(
        out_biz_no=row["out_biz_no"],
        order_id=row["order_id"],
        pay_fund_order_id=row["pay_fund_order_id"],
        status=row["status"],
        trans_date=china_time(row["finished_ms"] or row["created_ms"]),
    )


def transfer_query(books: Books, call: Call) -> Answer:
    """What became of a payout: SUCCESS, FAIL with its reason, or still DEALING."""
    pay_fund_order_id = call.text("pay_fund_order_id", 64)
    order_id, out_biz_no = call.text("order_id", 64), call.text("out_biz_no", 64)
    if not (pay_fund_order_id or order_id or out_biz_no):
        raise call.invalid("pay_fund_order_id, order_id or out_biz_no is needed")
    if not (pay_fund_order_id or order_id):
        _require_product(call)
    row = transfers.find(
        books,
        call.merchant_no,
        pay_fund_order_id=pay_fund_order_id,
        order_id=order_id,
        out_biz_no=out_biz_no,
    )
    if row is None:
        raise Refusal("ORDER_NOT_EXIST", "转账订单不存在")
    if is_finished_by_query(books, "transfers", "order_id", row):
        row = transfers.finish_waiting(books, row)
    is_paid = row["status"] == transfers.SUCCESS
    return success(
        out_biz_no=row["out_biz_no"],
        order_id=row["order_id"],
        pay_fund_order_id=row["pay_fund_order_id"],
        status=row["status"],
        pay_date=china_time(row["finished_ms"]) if is_paid else None,
        trans_amount=yuan(row["amount_fen"]) if is_paid else None,
        order_fee=yuan(row["fee_fen"]) if is_paid else None,
        error_code=row["error_code"],
        fail_reason=row["fail_reason"],
    )
