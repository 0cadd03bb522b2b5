"""What Alipay's answers mean, as data: gateway codes, sub-codes per method, and status words.

Source: Alipay OpenAPI, the error-code and response tables of each method. Decisions rest on
`code`, `sub_code` and status words only, never on the messages. What is not listed here is
`Outcome.UNKNOWN`. An answer to a query or a cancellation speaks of the operation, not of the
call: there a refused call is never `FINAL`, which would say that the money can no longer move.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shanmen.gateway_adapters.domain.operations import Outcome

SUCCESS: Final = "10000"
BUSINESS_FAILURE: Final = "40004"

BILL_NOT_READY: Final = frozenset({"BILL_NOT_EXIST", "isp.bill_not_exist"})
"""Sub-codes of a bill that is not made yet, which may be as late as the next day at noon."""


class Method(StrEnum):
    """A method of the gateway."""

    PAY = "alipay.trade.pay"
    QUERY = "alipay.trade.query"
    CANCEL = "alipay.trade.cancel"
    REFUND = "alipay.trade.refund"
    REFUND_QUERY = "alipay.trade.fastpay.refund.query"
    TRANSFER = "alipay.fund.trans.uni.transfer"
    TRANSFER_QUERY = "alipay.fund.trans.common.query"
    BALANCE = "alipay.fund.account.query"
    BILL = "alipay.data.dataservice.bill.downloadurl.query"


@dataclass(frozen=True)
class StatusWords:
    """The field that decides what a `10000` means, its words, and what its absence means."""

    field: str
    outcomes: Mapping[str, Outcome]
    absent: Outcome = Outcome.UNKNOWN

    def outcome(self, word: str) -> Outcome:
        """What this word means; an unlisted one is unknown."""
        return self.outcomes.get(word, Outcome.UNKNOWN) if word else self.absent


def refusal_outcome(method: Method, code: str, sub_code: str) -> Outcome:
    """What an answer other than `10000` means."""
    return _listed(method, code, sub_code) or Outcome.UNKNOWN


def is_listed(method: Method, code: str, sub_code: str) -> bool:
    """Whether the tables know this refusal. An unlisted one is unknown, and worth an alarm."""
    return _listed(method, code, sub_code) is not None


def _listed(method: Method, code: str, sub_code: str) -> Outcome | None:
    if code == BUSINESS_FAILURE:
        return SUB_CODES[method].get(sub_code, _ANY_METHOD.get(sub_code))
    return GATEWAY_CODES.get(code)


def _table(words: Mapping[Outcome, str]) -> dict[str, Outcome]:
    """One mapping out of sub-codes written down by outcome, each in one place only."""
    pairs = [(code, outcome) for outcome, codes in words.items() for code in codes.split()]
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a sub-code is listed twice")
    return table


GATEWAY_CODES: Final[Mapping[str, Outcome]] = {
    "10003": Outcome.PENDING,  # accepted, waiting for the payer
    "20000": Outcome.UNKNOWN,  # service unavailable, before or after the money moved
    "20001": Outcome.CONFIG,  # authorisation token invalid or expired
    "40001": Outcome.CONFIG,  # missing parameter
    "40002": Outcome.CONFIG,  # invalid parameter or signature
    "40003": Outcome.CONFIG,  # insufficient conditions
    "40005": Outcome.THROTTLED,  # too many calls
    "40006": Outcome.CONFIG,  # no permission
}

_ANY_METHOD: Final[Mapping[str, Outcome]] = {"isv.app-call-limited": Outcome.THROTTLED}

_PAY = _table(
    {
        # TRADE_HAS_SUCCESS: paid, but was it this trade? A query tells number and amount.
        Outcome.UNKNOWN: "ACQ.SYSTEM_ERROR ACQ.TRADE_HAS_SUCCESS ACQ.TRADE_STATUS_ERROR",
        # The payer's balance, and limits that a later day or another instrument lifts.
        Outcome.FUNDS: """
            ACQ.BUYER_BALANCE_NOT_ENOUGH ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH
            ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR
            ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR ACQ.PRODUCT_AMOUNT_LIMIT_ERROR
            ACQ.OVER_MERCHANT_DAILY_DEDUCT_AMOUNT ACQ.OVER_MAX_DEDUCT_COUNT
            ACQ.OVER_MAX_UNDER_WAY_DEDUCT_COUNT""",
        Outcome.CONFLICT: "ACQ.CONTEXT_INCONSISTENT ACQ.TRADE_BUYER_NOT_MATCH",
        # PAYMENT_FAIL: the channel advises one retry before giving up.
        Outcome.FINAL: """
            ACQ.TRADE_HAS_CLOSE ACQ.PAYMENT_FAIL ACQ.PAYMENT_REQUEST_HAS_RISK
            ACQ.BUYER_SELLER_EQUAL ACQ.BUYER_ENABLE_STATUS_FORBID ACQ.BUYER_NOT_EXIST
            ACQ.BUYER_NOT_MAINLAND_CERT ACQ.NOT_CERTIFIED_USER ACQ.USER_LOGONID_DUP
            ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT ACQ.ERROR_BALANCE_PAYMENT_DISABLE
            ACQ.MOBILE_PAYMENT_SWITCH_OFF ACQ.EXIST_FORBIDDEN_WORD ACQ.TOTAL_FEE_EXCEED
            ACQ.RESTRICTED_MERCHANT_INDUSTRY""",
        # The distributor's agreement (it must sign again), our contract, our parameters.
        Outcome.CONFIG: """
            ACQ.AGREEMENT_NOT_EXIST ACQ.AGREEMENT_INVALID ACQ.AGREEMENT_STATUS_NOT_NORMAL
            ACQ.AGREEMENT_ERROR ACQ.CYCLE_PAY_DATE_NOT_MATCH ACQ.CYCLE_PAY_SINGLE_FEE_EXCEED
            ACQ.CYCLE_PAY_TOTAL_FEE_EXCEED ACQ.CYCLE_PAY_TOTAL_TIMES_EXCEED
            ACQ.MERCHANT_AGREEMENT_NOT_EXIST ACQ.MERCHANT_AGREEMENT_INVALID
            ACQ.MERCHANT_AGREEMENT_STATUS_NOT_NORMAL ACQ.MERCHANT_STATUS_NOT_NORMAL
            ACQ.MERCHANT_PERM_RECEIPT_DAY_LIMIT ACQ.MERCHANT_PERM_RECEIPT_SINGLE_LIMIT
            ACQ.MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT ACQ.BEYOND_PAY_RESTRICTION
            ACQ.BEYOND_PER_RECEIPT_RESTRICTION ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION
            ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION ACQ.SELLER_BEEN_BLOCKED
            ACQ.SELLER_NOT_EXIST ACQ.ACCESS_FORBIDDEN ACQ.PARTNER_ERROR
            ACQ.INVALID_RECEIVE_ACCOUNT ACQ.UN_SUPPORT_TRADE_SCENE ACQ.CURRENCY_NOT_SUPPORT
            ACQ.AMOUNT_OR_CURRENCY_ERROR ACQ.INVALID_PARAMETER""",
    }
)

_QUERY = _table(
    {
        Outcome.UNKNOWN: "ACQ.SYSTEM_ERROR ACQ.ENTERPRISE_PAY_BIZ_ERROR",
        Outcome.ABSENT: "ACQ.TRADE_NOT_EXIST",
        Outcome.CONFIG: "ACQ.INVALID_PARAMETER",
    }
)

_CANCEL = _table(
    {
        # The second system error is misspelt by the channel. The refusals to cancel leave the
        # trade as it was, paid or not: a query tells.
        Outcome.UNKNOWN: """
            ACQ.SYSTEM_ERROR AQC.SYSTEM_ERROR ACQ.REASON_TRADE_BEEN_FREEZEN
            ACQ.TRADE_HAS_FINISHED ACQ.TRADE_CANCEL_TIME_OUT ACQ.REASON_TRADE_REFUND_FEE_ERR
            ACQ.CANCEL_NOT_ALLOWED""",
        Outcome.FUNDS: "ACQ.SELLER_BALANCE_NOT_ENOUGH",
        Outcome.CONFIG: "ACQ.INVALID_PARAMETER",
    }
)

_REFUND = _table(
    {
        # TRADE_HAS_CLOSE: a full refund closes a trade too, and it may have been this one.
        Outcome.UNKNOWN: """
            ACQ.SYSTEM_ERROR ACQ.TRADE_HAS_CLOSE ACQ.REFUND_CHARGE_ERROR
            ACQ.ENTERPRISE_PAY_BIZ_ERROR""",
        Outcome.FUNDS: "ACQ.SELLER_BALANCE_NOT_ENOUGH",
        Outcome.CONFLICT: "ACQ.DISCORDANT_REPEAT_REQUEST",
        Outcome.FINAL: """
            ACQ.TRADE_HAS_FINISHED ACQ.TRADE_NOT_ALLOW_REFUND ACQ.TRADE_STATUS_ERROR
            ACQ.TRADE_NOT_EXIST ACQ.REASON_TRADE_STATUS_INVALID ACQ.REASON_TRADE_BEEN_FREEZEN
            ACQ.REASON_TRADE_REFUND_FEE_ERR ACQ.REFUND_AMT_NOT_EQUAL_TOTAL
            ACQ.NOT_ALLOW_PARTIAL_REFUND ACQ.REFUND_FEE_ERROR ACQ.BUYER_NOT_EXIST ACQ.BUYER_ERROR
            ACQ.BUYER_ENABLE_STATUS_FORBID ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND
            ACQ.REFUND_ACCOUNT_NOT_EXIST ACQ.CUSTOMER_VALIDATE_ERROR""",
        Outcome.CONFIG: """
            ACQ.INVALID_PARAMETER ACQ.CURRENCY_NOT_SUPPORT ACQ.ALLOC_AMOUNT_VALIDATE_ERROR
            ACQ.USER_NOT_MATCH_ERR ACQ.TRADE_SETTLE_ERROR ACQ.OVERDRAFT_ASSIGN_ACCOUNT_INVALID
            ACQ.OVERDRAFT_AGREEMENT_NOT_MATCH ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST
            ACQ.REFUNDALLOC_UNAUTH_LIMIT""",
    }
)

_REFUND_QUERY = _table(
    {
        Outcome.UNKNOWN: "ACQ.SYSTEM_ERROR ACQ.ENTERPRISE_PAY_BIZ_ERROR",
        Outcome.ABSENT: "ACQ.TRADE_NOT_EXIST",
        Outcome.CONFIG: "ACQ.INVALID_PARAMETER",
    }
)

_TRANSFER = _table(
    {
        Outcome.PENDING: "TRANS_ORDER_DEALING",
        Outcome.UNKNOWN: """
            SYSTEM_ERROR REQUEST_PROCESSING BANK_RESPONSE_ERROR MRCHPROD_QUERY_ERROR""",
        # Our balance, and limits: next day or month with the same number, or split by a person.
        Outcome.FUNDS: """
            PAYER_BALANCE_NOT_ENOUGH BALANCE_IS_NOT_ENOUGH BALANCE_NOT_ENOUGH
            EXCEED_LIMIT_DM_AMOUNT EXCEED_LIMIT_DM_MAX_AMOUNT EXCEED_LIMIT_MM_AMOUNT
            EXCEED_LIMIT_MM_MAX_AMOUNT EXCEED_LIMIT_SM_AMOUNT EXCEED_LIMIT_PERSONAL_SM_AMOUNT
            EXCEED_LIMIT_ENT_SM_AMOUNT EXCEED_LIMIT_UNRN_DM_AMOUNT EXCEED_LIMIT_DC_RECEIVED
            PERM_PAY_CUSTOMER_DAILY_QUOTA_ORG_BALANCE_LIMIT
            PERM_PAY_CUSTOMER_MONTH_QUOTA_ORG_BALANCE_LIMIT
            PERM_PAY_USER_DAILY_QUOTA_ORG_BALANCE_LIMIT
            PERM_PAY_USER_MONTH_QUOTA_ORG_BALANCE_LIMIT""",
        Outcome.CONFLICT: "PAYMENT_INFO_INCONSISTENCY REP_INCONSISTENT BIZ_UNIQUE_EXCEPTION",
        Outcome.THROTTLED: "RESOURCE_LIMIT_EXCEED",
        # The payee's account must be put right (OCUPIED, RELNAME, EXSIT, FORBBIDEN, RECIEVE are
        # the channel's spellings), or the payment is started anew.
        Outcome.FINAL: """
            PAYMENT_TIME_EXPIRE EXCEED_LIMIT_SM_MIN_AMOUNT PAYEE_NOT_EXIST PAYEE_ACC_OCUPIED
            PAYEE_ACCOUNT_NOT_EXSIT PAYEE_ACCOUNT_STATUS_ERROR PAYEE_USERINFO_STATUS_ERROR
            PAYEE_NOT_RELNAME_CERTIFY PAYEE_USER_INFO_ERROR PAYEE_USER_TYPE_ERROR
            PAYEE_IDENTITY_NOT_MATCH PAYEE_CERT_INFO_ERROR PERMIT_NON_BANK_LIMIT_PAYEE
            PERMIT_LIMIT_PAYEE PERMIT_CHECK_RECEIVE_LIMIT PERM_AML_NOT_REALNAME_REV
            BLOCK_USER_FORBBIDEN_RECIEVE NO_ACCOUNT_USER_FORBBIDEN_RECIEVE
            RELEASE_USER_FORBBIDEN_RECIEVE NO_ACCOUNT_RECEIVE_PERMISSION
            PAYER_PAYEE_CANNOT_SAME REMARK_HAS_SENSITIVE_WORD""",
        # Our account, our contract, our parameters.
        Outcome.CONFIG: """
            INVALID_PARAMETER PAYER_STATUS_ERROR PAYER_NOT_EXIST PAYER_USERINFO_NOT_EXSIT
            PAYER_USER_INFO_ERROR PAYER_CERTIFY_CHECK_FAIL PAYER_PERMLIMIT_CHECK_FAILURE
            PAYER_REQUESTER_RELATION_INVALID PERMIT_PAYER_FORBIDDEN PERMIT_CHECK_PERM_LIMITED
            PERMIT_CHECK_PERM_IDENTITY_THEFT PERMIT_CHECK_PERM_AML_CERT_EXPIRED MONEY_PAY_CLOSED
            PAYCARD_UNABLE_PAYMENT NO_AVAILABLE_PAYMENT_TOOLS NO_ACCOUNT_PAYMENT_PERMISSION
            NO_PERMISSION_ACCOUNT INVALID_PAYER_ACCOUNT NOT_SUPPORT_PAYER_ACCOUNT_TYPE
            BLOCK_USER_FORBBIDEN_SEND USER_RISK_FREEZE PRODUCT_NOT_SIGN NOT_IN_WHITE_LIST
            SECURITY_CHECK_FAILED ISV_AUTH_ERROR CURRENCY_NOT_SUPPORT
            MEMO_REQUIRED_IN_TRANSFER_ERROR TRANSFER_SCENE_NAME_BLANK TRANSFER_SCENE_NAME_ILLEGAL
            TRANSFER_SCENE_REPORT_INFO_ILLEGAL TRANSFER_SCENE_INFO_ADMIT_FAIL SIGN_INVALID
            SIGN_PARAM_INVALID SIGN_NOT_ALLOW_SKIP SIGN_AGREEMENT_NO_INCONSISTENT
            SIGN_INVOKE_PID_INCONSISTENT SIGN_QUERY_AGGREMENT_ERROR SIGN_QUERY_APP_INFO_ERROR""",
    }
)

_TRANSFER_QUERY = _table(
    {
        Outcome.UNKNOWN: "SYSTEM_ERROR",
        Outcome.ABSENT: "ORDER_NOT_EXIST",
        Outcome.CONFIG: "INVALID_PARAMETER NO_ORDER_PERMISSION",
    }
)

SUB_CODES: Final[Mapping[Method, Mapping[str, Outcome]]] = {
    Method.PAY: _PAY,
    Method.QUERY: _QUERY,
    Method.CANCEL: _CANCEL,
    Method.REFUND: _REFUND,
    Method.REFUND_QUERY: _REFUND_QUERY,
    Method.TRANSFER: _TRANSFER,
    Method.TRANSFER_QUERY: _TRANSFER_QUERY,
    Method.BALANCE: {},
    Method.BILL: {},
}
"""What each method's sub-codes under `40004` mean."""

_TRANSFER_STATUS = StatusWords(
    "status",
    {
        "SUCCESS": Outcome.OK,
        "FAIL": Outcome.FINAL,
        "DEALING": Outcome.PENDING,
        "WAIT_PAY": Outcome.PENDING,
        "REFUND": Outcome.FINAL,  # 退票: the money came back
        "CLOSED": Outcome.FINAL,
    },
)

STATUS_WORDS: Final[Mapping[Method, StatusWords]] = {
    # Absent on an ordinary debit, where 10000 means paid. The other modes are only accepted.
    Method.PAY: StatusWords(
        "async_payment_mode",
        {
            "SYNC_DIRECT_PAY": Outcome.OK,
            "ASYNC_DELAY_PAY": Outcome.PENDING,
            "ASYNC_REALTIME_PAY": Outcome.PENDING,
            "NORMAL_ASYNC_PAY": Outcome.PENDING,
            "QUOTA_OCCUPYIED_ASYNC_PAY": Outcome.PENDING,
        },
        absent=Outcome.OK,
    ),
    Method.QUERY: StatusWords(
        "trade_status",
        {
            "WAIT_BUYER_PAY": Outcome.PENDING,
            "TRADE_CLOSED": Outcome.FINAL,  # never paid, or refunded in full
            "TRADE_SUCCESS": Outcome.OK,
            "TRADE_FINISHED": Outcome.OK,
        },
    ),
    Method.CANCEL: StatusWords(
        "action",
        {"close": Outcome.OK, "refund": Outcome.OK},
        absent=Outcome.ABSENT,  # no trade of that number, or the cancellation failed
    ),
    # No money moved in this call: a repeat, or not yet. The channel asks for a query.
    Method.REFUND: StatusWords(
        "fund_change", {"Y": Outcome.OK, "N": Outcome.PENDING}, absent=Outcome.PENDING
    ),
    Method.REFUND_QUERY: StatusWords(
        "refund_status", {"REFUND_SUCCESS": Outcome.OK}, absent=Outcome.ABSENT
    ),
    Method.TRANSFER: _TRANSFER_STATUS,
    Method.TRANSFER_QUERY: _TRANSFER_STATUS,
}
"""What decides, once a method has answered `10000`."""
