"""The audit trail vouches for the ledger: what was posted an hour ago cannot be rewritten."""

import json
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from shanmen.common.audit import Fault, Head
from shanmen.settlement.tables import AUDIT, POSTINGS
from shanmen.settlement.usecases import auditing

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story


async def anchored(story: "Story", *names: str) -> None:
    """The debits of these orders are booked, and anchored."""
    for name in names:
        await story.told(story.paid(name))
    assert await auditing.anchor_ledger(story.context, settled_s=0) == 1


async def tamper(story: "Story", statement: str) -> None:
    """Write as somebody could who owns the database."""
    async with story.context.db.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text(statement))


async def verified(story: "Story", expected_head: Head | None = None) -> Fault | None:
    return await auditing.verify_audit(story.context.db.url, expected_head)


async def test_every_posting_has_one_anchor(story: "Story") -> None:
    await anchored(story, "a", "b")
    await anchored(story, "c")
    assert await auditing.anchor_ledger(story.context, settled_s=0) == 0
    ranges = [json.loads(row["details"]) for row in await story.rows(AUDIT)]
    numbers = [posting["posting_id"] for posting in await story.rows(POSTINGS)]
    assert [(r["after"], r["upto"], r["postings"]) for r in ranges] == [
        (0, numbers[1], 2),
        (numbers[1], numbers[2], 1),
    ]
    assert ranges[0]["debit_fen"] == "20120"
    assert await verified(story) is None


async def test_a_posting_that_may_not_be_complete_is_left_for_later(story: "Story") -> None:
    await story.told(story.paid())
    assert await auditing.anchor_ledger(story.context) == 0
    assert await story.rows(AUDIT) == []


async def test_large_ledgers_have_several_anchors(story: "Story") -> None:
    for name in "abcde":
        await story.told(story.paid(name))
    assert await auditing.anchor_ledger(story.context, settled_s=0, most=2) == 3
    assert await verified(story) is None


@pytest.mark.parametrize(
    "statement",
    [
        (
            "UPDATE entries SET debit_fen = 1 WHERE debit_fen > 0 AND posting_id ="
            " (SELECT max(posting_id) FROM postings WHERE order_no = 'ord_c')"
        ),
        "UPDATE postings SET order_no = 'ord_x' WHERE order_no = 'ord_c'",
        (
            "DELETE FROM entries WHERE posting_id ="
            " (SELECT max(posting_id) FROM postings WHERE order_no = 'ord_c')"
        ),
        "UPDATE entries SET account = 'custody:ord_x' WHERE account = 'custody:ord_c'",
        "UPDATE postings SET occurred_at = occurred_at + interval '1 us' WHERE order_no = 'ord_c'",
    ],
)
async def test_a_rewritten_posting_shows_at_its_anchor(story: "Story", statement: str) -> None:
    await anchored(story, "a", "b")
    await anchored(story, "c")
    await tamper(story, statement)
    fault = await verified(story)
    assert fault is not None
    assert fault.seq == 2
    assert "are not those that it vouches for" in fault.problem


async def test_the_first_of_several_faults_is_named(story: "Story") -> None:
    await anchored(story, "a")
    await anchored(story, "b")
    await tamper(story, "UPDATE audit SET actor = 'eve' WHERE seq = 2")
    assert (await verified(story)) == Fault(2, "its content was changed")
    await tamper(story, "UPDATE postings SET order_no = 'ord_x' WHERE order_no = 'ord_a'")
    fault = await verified(story)
    assert fault is not None
    assert fault.seq == 1


async def test_a_trail_that_was_cut_off_shows_against_its_head(story: "Story") -> None:
    await anchored(story, "a")
    await anchored(story, "b")
    last = (await story.rows(AUDIT))[-1]
    noted = Head(last["seq"], last["hash"])
    await tamper(story, "DELETE FROM audit WHERE seq = 2")
    assert await verified(story) is None
    assert await verified(story, noted) == Fault(2, "it is missing: the chain went on to row 2")
