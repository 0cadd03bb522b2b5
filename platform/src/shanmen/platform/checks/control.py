"""Control: what a person did is on record, and private data is where it belongs only."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from shanmen.platform.checks.findings import Tally
from shanmen.platform.checks.invariants import Invariant, none_of
from shanmen.platform.checks.view import Query, View
from shanmen.platform.services import SERVICES
from shanmen.settlement.usecases.auditing import verify_audit

_NUMBER: Final = re.compile(r"(?<![\w.])\+?(\d{11,19}[\dXx]?)(?!\w)")
_ID_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS: Final = "10X98765432"
_BIRTHDAY: Final = re.compile(r"\d{6}(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


async def _trail_is_whole(view: View, tally: Tally) -> None:
    tally.checked += await view.value(Query("settlement", "SELECT count(*) FROM audit"))
    fault = await verify_audit(view.installation.database_url("settlement"))
    if fault is not None:
        tally.offend(f"row {fault.seq}", fault.problem)


_GUARDS: Final = (
    "(VALUES ('audit_append_only'), ('audit_continues'), ('manual_actions_guard'),"
    " ('approvers_guard'), ('refunds_within_debit'))"
)
_OFF_GUARD: Final = f"""
SELECT name, 'is not switched on' AS trigger FROM {_GUARDS} AS guard (name)
WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = name AND tgenabled IN ('O', 'A'))
"""
_UNNOTED: Final = """
SELECT action_id, action, status FROM manual_actions
WHERE NOT EXISTS (SELECT FROM audit WHERE subject = action_id)
    OR (status = 'executed' AND NOT EXISTS
        (SELECT FROM audit WHERE subject = action_id
            AND audit.action LIKE ANY ('{%.executed,%.approved}')))
"""
_ONE_PAIR_OF_EYES: Final = """
SELECT action_id, action, amount_fen, requested_by, approved_by FROM manual_actions a
WHERE status = 'executed' AND (
    (action <> 'resolve' AND amount_fen > threshold_fen AND approved_by IS NULL)
    OR approved_by = requested_by
    OR approved_amount_fen <> amount_fen
    OR (approved_by IS NOT NULL AND (approved_account_id IS DISTINCT FROM account_id
        OR NOT EXISTS (SELECT FROM approvers g WHERE g.person = a.approved_by
            AND g.granted_by <> a.requested_by AND g.granted_at <= a.approved_at
            AND (g.revoked_at IS NULL OR g.revoked_at > a.approved_at)))))
"""


async def _nothing_private_told(view: View, tally: Tally) -> None:
    """Events that wait hold no private number, nor do the logs of this machine's processes."""
    known = await _private_numbers(view)
    for service in SERVICES:
        query = Query(service.name, "SELECT event_id, data::text AS data FROM outbox")
        async for row in view.rows(query):
            tally.checked += 1
            for kind in sorted(set(private_kinds(row["data"], known))):
                tally.offend(row["event_id"], f"an event of {service.name} holds {kind}")
    for path in _logs(view.installation.state.path):
        lines, found = await asyncio.to_thread(_scan, path, known)
        tally.checked += lines
        for line, kind in found:
            tally.offend(f"{path.name}:{line}", f"a log holds {kind}")


def private_kinds(text: str, known: frozenset[str]) -> Iterator[str]:
    """Which kinds of private numbers a text holds."""
    for match in _NUMBER.finditer(text):
        number = match[1]
        if number in known:
            yield "an account or phone number"
        elif _is_identity_number(number):
            yield "an identity number"


async def _private_numbers(view: View) -> frozenset[str]:
    """The numbers of all parties: as many as there are parties, not orders."""
    query = Query(
        "catalog",
        "SELECT account_no AS number FROM accounts UNION SELECT agreement_no FROM accounts"
        " WHERE agreement_no IS NOT NULL UNION SELECT contact_phone FROM parties"
        " WHERE contact_phone IS NOT NULL",
    )
    return frozenset([row["number"].lstrip("+") async for row in view.rows(query)])


def _is_identity_number(number: str) -> bool:
    """Whether it is a valid 身份证号 (GB 11643): a birthday in its place, and its check digit."""
    if len(number) != 18 or not _BIRTHDAY.match(number):
        return False
    digits = (int(digit) * weight for digit, weight in zip(number, _ID_WEIGHTS, strict=False))
    return _ID_CHECKS[sum(digits) % 11] == number[-1].upper()


def _logs(state: Path) -> Iterable[Path]:
    """The logs of our own processes; those of the simulators are the outside world's."""
    return sorted({*(state / "processes").glob("*.log"), *state.glob("*.log")})


def _scan(path: Path, known: frozenset[str]) -> tuple[int, list[tuple[int, str]]]:
    found, lines = [], 0
    with path.open(encoding="utf-8", errors="replace") as log:
        for lines, line in enumerate(log, 1):
            found += [(lines, kind) for kind in sorted(set(private_kinds(line, known)))]
    return lines, found


INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "A1",
        "The audit trail is whole, and every action of a person is in it",
        [
            _trail_is_whole,
            none_of("settlement", "manual_actions", _UNNOTED),
            none_of("settlement", f"{_GUARDS} AS guard", _OFF_GUARD),
        ],
    ),
    Invariant(
        "A2",
        "What a second person must approve, another and entitled person has approved",
        [none_of("settlement", "manual_actions", _ONE_PAIR_OF_EYES)],
    ),
    Invariant(
        "P1",
        "No account, phone or identity number in events and logs",
        [_nothing_private_told],
    ),
)
