"""What Huijinbao keeps in its books: accounts, merchants, agreements, orders and nonces.

Every unique constraint here is a promise of the channel: one order per request number for ever,
one use of a nonce.
"""

from typing import Final

from shanmen.simulators.books import JOURNAL_SCHEMA

SCHEMA: Final = (
    """
CREATE TABLE IF NOT EXISTS accounts (
    account_no TEXT PRIMARY KEY,
    kind TEXT NOT NULL DEFAULT 'customer' CHECK (kind IN ('customer', 'fund')),
    name TEXT NOT NULL,
    operator_no TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL DEFAULT 'NORMAL',
    opened_by TEXT,
    balance_fen INTEGER NOT NULL DEFAULT 0 CHECK (balance_fen >= 0),
    created_ms INTEGER NOT NULL
);
"""
    + JOURNAL_SCHEMA
    + """
CREATE TABLE IF NOT EXISTS merchants (
    merchant_id TEXT PRIMARY KEY,
    account_no TEXT NOT NULL REFERENCES accounts,
    notify_url TEXT
);
CREATE TABLE IF NOT EXISTS merchant_keys (
    merchant_id TEXT NOT NULL REFERENCES merchants,
    key_id TEXT NOT NULL,
    public_key_pem TEXT NOT NULL,
    PRIMARY KEY (merchant_id, key_id)
);
CREATE TABLE IF NOT EXISTS nonces (
    merchant_id TEXT NOT NULL REFERENCES merchants,
    nonce TEXT NOT NULL,
    used_ms INTEGER NOT NULL,
    PRIMARY KEY (merchant_id, nonce)
);
CREATE INDEX IF NOT EXISTS nonces_by_age ON nonces (used_ms);
CREATE TABLE IF NOT EXISTS agreements (
    agreement_no TEXT PRIMARY KEY,
    account_no TEXT NOT NULL REFERENCES accounts,
    status TEXT NOT NULL,
    single_quota_fen INTEGER,
    daily_quota_fen INTEGER,
    signed_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
    merchant_id TEXT NOT NULL REFERENCES merchants,
    req_seq_id TEXT NOT NULL,
    fingerprint TEXT,
    answer TEXT,
    PRIMARY KEY (merchant_id, req_seq_id)
);
CREATE TABLE IF NOT EXISTS orders (
    hjb_seq_id TEXT PRIMARY KEY,
    merchant_id TEXT NOT NULL REFERENCES merchants,
    req_seq_id TEXT NOT NULL,
    biz_type TEXT NOT NULL,
    payer_no TEXT REFERENCES accounts,
    payee_no TEXT REFERENCES accounts,
    amount_fen INTEGER NOT NULL CHECK (amount_fen >= 0),
    fee_fen INTEGER NOT NULL DEFAULT 0,
    refunded_fen INTEGER NOT NULL DEFAULT 0 CHECK (refunded_fen BETWEEN 0 AND amount_fen),
    biz_no TEXT,
    agreement_no TEXT,
    original_no TEXT REFERENCES orders,
    refunded_total_fen INTEGER,
    position_id INTEGER,
    mode TEXT,
    purpose TEXT,
    principal_fen INTEGER,
    yield_fen INTEGER,
    confirm_date TEXT,
    arrive_ms INTEGER,
    notify_url TEXT,
    status TEXT NOT NULL,
    order_status TEXT NOT NULL,
    fail_code TEXT,
    created_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    ending TEXT,
    queries_left INTEGER,
    due_ms INTEGER,
    UNIQUE (req_seq_id, merchant_id)
);
CREATE INDEX IF NOT EXISTS orders_waiting ON orders (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_finished ON orders (finished_ms);
CREATE INDEX IF NOT EXISTS orders_by_agreement ON orders (agreement_no, created_ms)
    WHERE agreement_no IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_by_position ON orders (position_id, status)
    WHERE position_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_by_original ON orders (original_no)
    WHERE original_no IS NOT NULL;
"""
)
