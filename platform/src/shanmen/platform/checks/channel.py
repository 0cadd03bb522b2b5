"""Money at the channel: balances and movements there are what our books say."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shanmen.platform.checks.findings import Tally
from shanmen.platform.checks.invariants import Invariant, none_of, together
from shanmen.platform.checks.view import (
    PLATFORM_ACCOUNTS,
    Query,
    Row,
    Source,
    View,
    keyed,
    platform_movements,
    statements,
)

_SIGNS: Final[Mapping[str, int]] = {
    "debit": 1,
    "payout": -1,
    "refund": -1,
    "subscribe": -1,
    "redeem": 1,
    "liquidate": 1,
}
"""Which way each kind of operation moves the platform's balance."""
_WEALTH: Final = frozenset({"subscribe", "redeem", "liquidate"})
"""Kinds of operation with a wealth product's account on the other side."""
_FUND: Final = "FUND-"
"""What the number of such an account begins with."""
_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "alipay": {"debit": "trade", "payout": "transfer", "refund": "refund"},
    "huijinbao": {
        "debit": "pay",
        "payout": "transfer",
        "refund": "refund",
        "subscribe": "subscribe",
        "redeem": "redeem",
        "liquidate": "liquidate",
    },
}
"""Each channel's own words for them."""
_PLATFORM: Final = "platform"


def _both(channel: str) -> Mapping[str, Source]:
    """Our operations with a channel, and what moved there, by number."""
    ours = keyed(
        "gateway-adapters",
        # What comes out of a wealth product is told by the answer.
        "SELECT operation_id AS key, kind, status, account_id,"
        " coalesce(principal_fen + yield_fen, amount_fen) AS amount_fen"
        " FROM operations WHERE channel = $1",
        [channel],
    )
    return {"ours": ours, "theirs": platform_movements(channel)}


async def _account_ids(view: View) -> Mapping[str, str]:
    """The account number behind each id: as many as there are accounts, not orders."""
    query = Query("catalog", "SELECT account_id, account_no FROM accounts")
    return {row["account_id"]: row["account_no"] async for row in view.rows(query)}


def _compare_operation(
    channel: str, ours: Row | None, theirs: Row | None, account_no: str | None
) -> Iterable[str]:
    """What is wrong with an operation and what the channel has under its number."""
    net_fen = theirs["net_fen"] if theirs else 0
    if ours is None:
        yield f"{channel} moved {net_fen} fen under a number that we never used"
        return
    word = _WORDS[channel][ours["kind"]]
    due_fen = _SIGNS[ours["kind"]] * ours["amount_fen"]
    # What a liquidation brings in is told by its answer.
    moved_fen = max(net_fen, 0) if ours["kind"] == "liquidate" else due_fen
    # Undecided, either may be so; what is certain must be so there as well.
    right = {"succeeded": {due_fen}, "failed": {0}}.get(ours["status"], {0, moved_fen})
    if net_fen not in right:
        yield f"{ours['kind']} {ours['status']} of {due_fen} fen, {channel} moved {net_fen}"
    if theirs is None or not net_fen:
        return
    if theirs["moves"] != 1 or theirs["kinds"] != word:
        yield f"{ours['kind']}: {channel} has {theirs['moves']} of {theirs['kinds']}"
    is_right = (
        theirs["counterparty_no"].startswith(_FUND)
        if ours["kind"] in _WEALTH
        else theirs["counterparty_no"] == account_no
    )
    if theirs["counterparties"] != 1 or not is_right:
        yield f"{ours['kind']}: another account than {ours['account_id']}"


async def _operations_match(view: View, tally: Tally) -> None:
    account_nos = await _account_ids(view)
    for channel in PLATFORM_ACCOUNTS:
        async for key, rows in together(view, _both(channel)):
            tally.checked += 1
            ours = rows["ours"]
            account_no = account_nos.get(ours["account_id"]) if ours else None
            for facts in _compare_operation(channel, ours, rows["theirs"], account_no):
                tally.offend(key, facts)


async def _balances_agree(view: View, tally: Tally) -> None:
    for channel in PLATFORM_ACCOUNTS:
        await _balances_agree_at(channel, view, tally)


async def _balances_agree_at(channel: str, view: View, tally: Tally) -> None:
    """Every account's balance there is what we have asked for, but for what is undecided."""
    account_nos = await _account_ids(view)
    expected, undecided_fen = await _expected(channel, view, account_nos)
    query = "SELECT coalesce(sum(debit_fen - credit_fen), 0) FROM entries WHERE account = $1"
    ledger_fen = await view.value(Query("settlement", query, [f"cash:{channel}"]))
    names = {number: account_id for account_id, number in account_nos.items()}
    names[PLATFORM_ACCOUNTS[channel]] = _PLATFORM
    in_funds_fen = 0
    async for row in view.rows(statements(channel)):
        tally.checked += 1
        number, balance_fen = row["account_no"], row["balance_fen"]
        name = names.get(number, "a stranger")
        if balance_fen != row["journal_fen"]:
            tally.offend(name, f"balance {balance_fen}, journal {row['journal_fen']} fen")
        if name == _PLATFORM:
            if balance_fen - undecided_fen != ledger_fen:
                tally.offend(
                    f"cash:{channel}",
                    f"ledger {ledger_fen}, {channel} {balance_fen}, undecided {undecided_fen} fen",
                )
        elif number.startswith(_FUND):
            in_funds_fen += row["traded_fen"]
        elif row["traded_fen"] != expected[number]:
            tally.offend(
                name, f"we moved {expected[number]} fen, {channel} {row['traded_fen']} fen"
            )
    if in_funds_fen != expected[_FUND]:
        facts = f"we moved {expected[_FUND]} fen, {channel} {in_funds_fen} fen"
        tally.offend("wealth products", facts)


async def _expected(
    channel: str, view: View, account_nos: Mapping[str, str]
) -> tuple[Mapping[str, int], int]:
    """What each account there should have moved by our operations, all wealth products' together
    as `_FUND`; and what the undecided ones moved of the platform's."""
    expected: defaultdict[str, int] = defaultdict(int)
    undecided_fen = 0
    async for _, rows in together(view, _both(channel)):
        ours, theirs = rows["ours"], rows["theirs"]
        if ours is None:
            continue
        moved_fen = _SIGNS[ours["kind"]] * ours["amount_fen"]
        if ours["status"] not in {"succeeded", "failed"}:
            moved_fen = theirs["net_fen"] if theirs else 0
            undecided_fen += moved_fen
        if ours["status"] != "failed":
            number = _FUND if ours["kind"] in _WEALTH else account_nos.get(ours["account_id"], "")
            expected[number] -= moved_fen
    return expected, undecided_fen


async def _no_balance_below_zero(view: View, tally: Tally) -> None:
    names = {number: account_id for account_id, number in (await _account_ids(view)).items()}
    for channel in PLATFORM_ACCOUNTS:
        async for row in view.rows(statements(channel)):
            tally.checked += 1
            if row["balance_fen"] < 0:
                name = names.get(row["account_no"], _PLATFORM)
                tally.offend(name, f"balance {row['balance_fen']} fen")


INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant("M2", "Balances at the channel are what our books say", [_balances_agree]),
    Invariant("M3", "Our operations and the channel's match one to one", [_operations_match]),
    Invariant(
        "M10",
        "No account is below zero",
        [
            none_of(
                "settlement",
                "entries WHERE account LIKE 'cash:%'",
                "SELECT account, sum(debit_fen - credit_fen) AS balance_fen FROM entries"
                " WHERE account LIKE 'cash:%' GROUP BY account"
                " HAVING sum(debit_fen - credit_fen) < 0",
            ),
            _no_balance_below_zero,
        ],
    ),
)
