"""What Alipay keeps in its books: accounts, apps, agreements, trades, refunds and payouts.

Every unique constraint here is a promise of the channel: one trade per merchant number, one
refund per request number, one payout per business number.
"""

from typing import Final

from shanmen.simulators.books import JOURNAL_SCHEMA

SCHEMA: Final = (
    """
CREATE TABLE IF NOT EXISTS accounts (
    account_no TEXT PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE,
    logon_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    balance_fen INTEGER NOT NULL DEFAULT 0 CHECK (balance_fen >= 0),
    created_ms INTEGER NOT NULL
);
"""
    + JOURNAL_SCHEMA
    + """
CREATE TABLE IF NOT EXISTS apps (
    app_id TEXT PRIMARY KEY,
    account_no TEXT NOT NULL REFERENCES accounts,
    public_key_pem TEXT NOT NULL,
    gateway_notify_url TEXT
);
CREATE TABLE IF NOT EXISTS agreements (
    agreement_no TEXT PRIMARY KEY,
    account_no TEXT NOT NULL REFERENCES accounts,
    status TEXT NOT NULL,
    single_quota_fen INTEGER,
    signed_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS trades (
    trade_no TEXT PRIMARY KEY,
    merchant_no TEXT NOT NULL REFERENCES accounts,
    app_id TEXT NOT NULL REFERENCES apps,
    out_trade_no TEXT NOT NULL,
    buyer_no TEXT NOT NULL REFERENCES accounts,
    agreement_no TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    refunded_fen INTEGER NOT NULL DEFAULT 0 CHECK (refunded_fen BETWEEN 0 AND amount_fen),
    fee_fen INTEGER NOT NULL DEFAULT 0,
    subject TEXT NOT NULL,
    body TEXT,
    passback_params TEXT,
    notify_url TEXT,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    paid_ms INTEGER,
    closed_ms INTEGER,
    ending TEXT,
    queries_left INTEGER,
    due_ms INTEGER,
    UNIQUE (out_trade_no, merchant_no)
);
CREATE TABLE IF NOT EXISTS refunds (
    refund_no TEXT PRIMARY KEY,
    trade_no TEXT NOT NULL REFERENCES trades,
    out_request_no TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    reason TEXT,
    refunded_ms INTEGER NOT NULL,
    UNIQUE (trade_no, out_request_no)
);
CREATE TABLE IF NOT EXISTS transfers (
    order_id TEXT PRIMARY KEY,
    pay_fund_order_id TEXT NOT NULL UNIQUE,
    merchant_no TEXT NOT NULL REFERENCES accounts,
    app_id TEXT NOT NULL REFERENCES apps,
    out_biz_no TEXT NOT NULL,
    payee_no TEXT NOT NULL REFERENCES accounts,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    fee_fen INTEGER NOT NULL DEFAULT 0,
    order_title TEXT,
    remark TEXT,
    product_code TEXT NOT NULL,
    biz_scene TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL,
    error_code TEXT,
    fail_reason TEXT,
    created_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    ending TEXT,
    queries_left INTEGER,
    due_ms INTEGER,
    UNIQUE (out_biz_no, merchant_no)
);
CREATE INDEX IF NOT EXISTS trades_paid ON trades (merchant_no, paid_ms);
CREATE INDEX IF NOT EXISTS refunds_by_time ON refunds (refunded_ms);
CREATE INDEX IF NOT EXISTS trades_waiting ON trades (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS transfers_waiting ON transfers (due_ms) WHERE due_ms IS NOT NULL;
"""
)
