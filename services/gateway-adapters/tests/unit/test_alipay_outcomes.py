"""The outcome of every listed code, against a table written from Alipay's published error codes.

Each line is `sub-code outcome`; a line of its own on purpose, so that a change of mind is seen.
"""

import pytest

from shanmen.gateway_adapters.domain.operations import Outcome
from shanmen.gateway_adapters.providers.alipay import outcomes
from shanmen.gateway_adapters.providers.alipay.outcomes import Method

GATEWAY = """
10003 pending
20000 unknown
20001 config
40001 config
40002 config
40003 config
40005 throttled
40006 config
"""

SUB_CODES = {
    "alipay.trade.pay": """
ACQ.SYSTEM_ERROR unknown
ACQ.TRADE_HAS_SUCCESS unknown
ACQ.TRADE_STATUS_ERROR unknown
ACQ.TRADE_HAS_CLOSE final
ACQ.CONTEXT_INCONSISTENT conflict
ACQ.TRADE_BUYER_NOT_MATCH conflict
ACQ.BUYER_BALANCE_NOT_ENOUGH funds
ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH funds
ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE funds
ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR funds
ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR funds
ACQ.PRODUCT_AMOUNT_LIMIT_ERROR funds
ACQ.OVER_MERCHANT_DAILY_DEDUCT_AMOUNT funds
ACQ.OVER_MAX_DEDUCT_COUNT funds
ACQ.OVER_MAX_UNDER_WAY_DEDUCT_COUNT funds
ACQ.AGREEMENT_NOT_EXIST config
ACQ.AGREEMENT_INVALID config
ACQ.AGREEMENT_STATUS_NOT_NORMAL config
ACQ.AGREEMENT_ERROR config
ACQ.CYCLE_PAY_DATE_NOT_MATCH config
ACQ.CYCLE_PAY_SINGLE_FEE_EXCEED config
ACQ.CYCLE_PAY_TOTAL_FEE_EXCEED config
ACQ.CYCLE_PAY_TOTAL_TIMES_EXCEED config
ACQ.PAYMENT_FAIL final
ACQ.BUYER_SELLER_EQUAL final
ACQ.BUYER_ENABLE_STATUS_FORBID final
ACQ.BUYER_NOT_EXIST final
ACQ.BUYER_NOT_MAINLAND_CERT final
ACQ.NOT_CERTIFIED_USER final
ACQ.USER_LOGONID_DUP final
ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT final
ACQ.ERROR_BALANCE_PAYMENT_DISABLE final
ACQ.MOBILE_PAYMENT_SWITCH_OFF final
ACQ.EXIST_FORBIDDEN_WORD final
ACQ.RESTRICTED_MERCHANT_INDUSTRY final
ACQ.PAYMENT_REQUEST_HAS_RISK final
ACQ.TOTAL_FEE_EXCEED final
ACQ.SELLER_BEEN_BLOCKED config
ACQ.SELLER_NOT_EXIST config
ACQ.ACCESS_FORBIDDEN config
ACQ.PARTNER_ERROR config
ACQ.INVALID_RECEIVE_ACCOUNT config
ACQ.UN_SUPPORT_TRADE_SCENE config
ACQ.CURRENCY_NOT_SUPPORT config
ACQ.AMOUNT_OR_CURRENCY_ERROR config
ACQ.MERCHANT_AGREEMENT_NOT_EXIST config
ACQ.MERCHANT_AGREEMENT_INVALID config
ACQ.MERCHANT_AGREEMENT_STATUS_NOT_NORMAL config
ACQ.MERCHANT_STATUS_NOT_NORMAL config
ACQ.MERCHANT_PERM_RECEIPT_DAY_LIMIT config
ACQ.MERCHANT_PERM_RECEIPT_SINGLE_LIMIT config
ACQ.MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT config
ACQ.BEYOND_PAY_RESTRICTION config
ACQ.BEYOND_PER_RECEIPT_RESTRICTION config
ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION config
ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION config
ACQ.INVALID_PARAMETER config
""",
    "alipay.trade.query": """
ACQ.SYSTEM_ERROR unknown
ACQ.ENTERPRISE_PAY_BIZ_ERROR unknown
ACQ.TRADE_NOT_EXIST absent
ACQ.INVALID_PARAMETER config
""",
    "alipay.trade.cancel": """
ACQ.SYSTEM_ERROR unknown
AQC.SYSTEM_ERROR unknown
ACQ.SELLER_BALANCE_NOT_ENOUGH funds
ACQ.REASON_TRADE_BEEN_FREEZEN unknown
ACQ.TRADE_HAS_FINISHED unknown
ACQ.TRADE_CANCEL_TIME_OUT unknown
ACQ.REASON_TRADE_REFUND_FEE_ERR unknown
ACQ.CANCEL_NOT_ALLOWED unknown
ACQ.INVALID_PARAMETER config
""",
    "alipay.trade.refund": """
ACQ.SYSTEM_ERROR unknown
ACQ.INVALID_PARAMETER config
ACQ.SELLER_BALANCE_NOT_ENOUGH funds
ACQ.REFUND_AMT_NOT_EQUAL_TOTAL final
ACQ.REASON_TRADE_BEEN_FREEZEN final
ACQ.TRADE_NOT_EXIST final
ACQ.TRADE_HAS_FINISHED final
ACQ.TRADE_STATUS_ERROR final
ACQ.DISCORDANT_REPEAT_REQUEST conflict
ACQ.REASON_TRADE_REFUND_FEE_ERR final
ACQ.TRADE_NOT_ALLOW_REFUND final
ACQ.REFUND_FEE_ERROR final
ACQ.TRADE_HAS_CLOSE unknown
ACQ.BUYER_NOT_EXIST final
ACQ.BUYER_ENABLE_STATUS_FORBID final
ACQ.REASON_TRADE_STATUS_INVALID final
ACQ.NOT_ALLOW_PARTIAL_REFUND final
ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND final
ACQ.BUYER_ERROR final
ACQ.CURRENCY_NOT_SUPPORT config
ACQ.ALLOC_AMOUNT_VALIDATE_ERROR config
ACQ.USER_NOT_MATCH_ERR config
ACQ.TRADE_SETTLE_ERROR config
ACQ.REFUND_CHARGE_ERROR unknown
ACQ.ENTERPRISE_PAY_BIZ_ERROR unknown
ACQ.OVERDRAFT_ASSIGN_ACCOUNT_INVALID config
ACQ.OVERDRAFT_AGREEMENT_NOT_MATCH config
ACQ.REFUND_ACCOUNT_NOT_EXIST final
ACQ.CUSTOMER_VALIDATE_ERROR final
ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST config
ACQ.REFUNDALLOC_UNAUTH_LIMIT config
""",
    "alipay.trade.fastpay.refund.query": """
ACQ.SYSTEM_ERROR unknown
ACQ.ENTERPRISE_PAY_BIZ_ERROR unknown
ACQ.TRADE_NOT_EXIST absent
ACQ.INVALID_PARAMETER config
""",
    "alipay.fund.trans.uni.transfer": """
SYSTEM_ERROR unknown
REQUEST_PROCESSING unknown
BANK_RESPONSE_ERROR unknown
MRCHPROD_QUERY_ERROR unknown
TRANS_ORDER_DEALING pending
PAYER_BALANCE_NOT_ENOUGH funds
BALANCE_IS_NOT_ENOUGH funds
BALANCE_NOT_ENOUGH funds
PAYMENT_INFO_INCONSISTENCY conflict
REP_INCONSISTENT conflict
BIZ_UNIQUE_EXCEPTION conflict
RESOURCE_LIMIT_EXCEED throttled
PAYMENT_TIME_EXPIRE final
EXCEED_LIMIT_DM_AMOUNT funds
EXCEED_LIMIT_DM_MAX_AMOUNT funds
EXCEED_LIMIT_MM_AMOUNT funds
EXCEED_LIMIT_MM_MAX_AMOUNT funds
EXCEED_LIMIT_SM_AMOUNT funds
EXCEED_LIMIT_PERSONAL_SM_AMOUNT funds
EXCEED_LIMIT_ENT_SM_AMOUNT funds
EXCEED_LIMIT_UNRN_DM_AMOUNT funds
EXCEED_LIMIT_DC_RECEIVED funds
PERM_PAY_CUSTOMER_DAILY_QUOTA_ORG_BALANCE_LIMIT funds
PERM_PAY_CUSTOMER_MONTH_QUOTA_ORG_BALANCE_LIMIT funds
PERM_PAY_USER_DAILY_QUOTA_ORG_BALANCE_LIMIT funds
PERM_PAY_USER_MONTH_QUOTA_ORG_BALANCE_LIMIT funds
EXCEED_LIMIT_SM_MIN_AMOUNT final
PAYEE_NOT_EXIST final
PAYEE_ACC_OCUPIED final
PAYEE_ACCOUNT_NOT_EXSIT final
PAYEE_ACCOUNT_STATUS_ERROR final
PAYEE_USERINFO_STATUS_ERROR final
PAYEE_NOT_RELNAME_CERTIFY final
PAYEE_USER_INFO_ERROR final
PAYEE_USER_TYPE_ERROR final
PAYEE_IDENTITY_NOT_MATCH final
PAYEE_CERT_INFO_ERROR final
PERMIT_NON_BANK_LIMIT_PAYEE final
PERMIT_LIMIT_PAYEE final
PERMIT_CHECK_RECEIVE_LIMIT final
PERM_AML_NOT_REALNAME_REV final
BLOCK_USER_FORBBIDEN_RECIEVE final
NO_ACCOUNT_USER_FORBBIDEN_RECIEVE final
RELEASE_USER_FORBBIDEN_RECIEVE final
NO_ACCOUNT_RECEIVE_PERMISSION final
PAYER_PAYEE_CANNOT_SAME final
REMARK_HAS_SENSITIVE_WORD final
INVALID_PARAMETER config
PAYER_STATUS_ERROR config
PAYER_NOT_EXIST config
PAYER_USERINFO_NOT_EXSIT config
PAYER_USER_INFO_ERROR config
PAYER_CERTIFY_CHECK_FAIL config
PAYER_PERMLIMIT_CHECK_FAILURE config
PAYER_REQUESTER_RELATION_INVALID config
PERMIT_PAYER_FORBIDDEN config
PERMIT_CHECK_PERM_LIMITED config
PERMIT_CHECK_PERM_IDENTITY_THEFT config
PERMIT_CHECK_PERM_AML_CERT_EXPIRED config
MONEY_PAY_CLOSED config
PAYCARD_UNABLE_PAYMENT config
NO_AVAILABLE_PAYMENT_TOOLS config
NO_ACCOUNT_PAYMENT_PERMISSION config
NO_PERMISSION_ACCOUNT config
INVALID_PAYER_ACCOUNT config
NOT_SUPPORT_PAYER_ACCOUNT_TYPE config
BLOCK_USER_FORBBIDEN_SEND config
USER_RISK_FREEZE config
PRODUCT_NOT_SIGN config
NOT_IN_WHITE_LIST config
SECURITY_CHECK_FAILED config
ISV_AUTH_ERROR config
CURRENCY_NOT_SUPPORT config
MEMO_REQUIRED_IN_TRANSFER_ERROR config
TRANSFER_SCENE_NAME_BLANK config
TRANSFER_SCENE_NAME_ILLEGAL config
TRANSFER_SCENE_REPORT_INFO_ILLEGAL config
TRANSFER_SCENE_INFO_ADMIT_FAIL config
SIGN_INVALID config
SIGN_PARAM_INVALID config
SIGN_NOT_ALLOW_SKIP config
SIGN_AGREEMENT_NO_INCONSISTENT config
SIGN_INVOKE_PID_INCONSISTENT config
SIGN_QUERY_AGGREMENT_ERROR config
SIGN_QUERY_APP_INFO_ERROR config
""",
    "alipay.fund.trans.common.query": """
ORDER_NOT_EXIST absent
INVALID_PARAMETER config
SYSTEM_ERROR unknown
NO_ORDER_PERMISSION config
""",
}

STATUS_WORDS = {
    "alipay.trade.pay": """
async_payment_mode - ok
async_payment_mode SYNC_DIRECT_PAY ok
async_payment_mode ASYNC_DELAY_PAY pending
async_payment_mode ASYNC_REALTIME_PAY pending
async_payment_mode NORMAL_ASYNC_PAY pending
async_payment_mode QUOTA_OCCUPYIED_ASYNC_PAY pending
async_payment_mode NEWER unknown
""",
    "alipay.trade.query": """
trade_status WAIT_BUYER_PAY pending
trade_status TRADE_CLOSED final
trade_status TRADE_SUCCESS ok
trade_status TRADE_FINISHED ok
trade_status TRADE_NEWER unknown
trade_status - unknown
""",
    "alipay.trade.cancel": """
action close ok
action refund ok
action - absent
action other unknown
""",
    "alipay.trade.refund": """
fund_change Y ok
fund_change N pending
fund_change - pending
fund_change X unknown
""",
    "alipay.trade.fastpay.refund.query": """
refund_status REFUND_SUCCESS ok
refund_status - absent
refund_status REFUND_PROCESSING unknown
""",
    "alipay.fund.trans.uni.transfer": """
status SUCCESS ok
status FAIL final
status DEALING pending
status WAIT_PAY pending
status REFUND final
status CLOSED final
status - unknown
status NEWER unknown
""",
    "alipay.fund.trans.common.query": """
status SUCCESS ok
status FAIL final
status DEALING pending
status WAIT_PAY pending
status REFUND final
status CLOSED final
status - unknown
""",
}


def rows(tables: dict[str, str]) -> list[tuple[str, ...]]:
    return [
        (method, *line.split())
        for method, text in tables.items()
        for line in text.split("\n")
        if line
    ]


@pytest.mark.parametrize(
    ("code", "expected"), [tuple(row.split()) for row in GATEWAY.split("\n") if row]
)
def test_a_gateway_code_means_the_same_for_every_method(code: str, expected: str) -> None:
    for method in Method:
        for sub_code in ("", "isv.whatever", "aop.unknow-error"):
            assert outcomes.refusal_outcome(method, code, sub_code) == expected
            assert outcomes.is_listed(method, code, sub_code)


@pytest.mark.parametrize(("method", "sub_code", "expected"), rows(SUB_CODES))
def test_a_sub_code(method: str, sub_code: str, expected: str) -> None:
    assert outcomes.refusal_outcome(Method(method), "40004", sub_code) == expected
    assert outcomes.is_listed(Method(method), "40004", sub_code)


@pytest.mark.parametrize(("method", "field", "word", "expected"), rows(STATUS_WORDS))
def test_a_status_word(method: str, field: str, word: str, expected: str) -> None:
    words = outcomes.STATUS_WORDS[Method(method)]
    assert words.field == field
    assert words.outcome("" if word == "-" else word) == expected


def test_no_code_is_decided_without_a_row_here() -> None:
    for method, table in outcomes.SUB_CODES.items():
        written = {line.split()[0] for line in SUB_CODES.get(method, "").split("\n") if line}
        assert set(table) == written
    assert set(outcomes.GATEWAY_CODES) == {row.split()[0] for row in GATEWAY.split("\n") if row}


@pytest.mark.parametrize("method", list(Method))
def test_what_is_not_listed_is_unknown(method: Method) -> None:
    for code, sub_code in (
        ("40004", "ACQ.NEWER_THAN_THIS_TABLE"),
        ("40004", ""),
        ("40004", "acq.system_error"),
        ("50000", ""),
        ("", ""),
        ("10001", "ACQ.BUYER_BALANCE_NOT_ENOUGH"),
    ):
        assert outcomes.refusal_outcome(method, code, sub_code) is Outcome.UNKNOWN
        assert not outcomes.is_listed(method, code, sub_code)


def test_a_sub_code_counts_under_the_business_failure_only() -> None:
    unknown = outcomes.refusal_outcome(Method.PAY, "20000", "ACQ.BUYER_BALANCE_NOT_ENOUGH")
    assert unknown is Outcome.UNKNOWN


def test_a_call_limit_is_known_for_every_method() -> None:
    for method in Method:
        limited = outcomes.refusal_outcome(method, "40004", "isv.app-call-limited")
        assert limited is Outcome.THROTTLED


@pytest.mark.parametrize(
    "method", [Method.QUERY, Method.CANCEL, Method.REFUND_QUERY, Method.TRANSFER_QUERY]
)
def test_a_refused_question_never_ends_the_operation(method: Method) -> None:
    assert Outcome.FINAL not in outcomes.SUB_CODES[method].values()
    assert Outcome.OK not in outcomes.SUB_CODES[method].values()
