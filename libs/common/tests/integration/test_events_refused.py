"""Events that cannot be applied: retried down the ladder, parked at its end, never in the way."""

import time
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import text

from shanmen.common.broker.protocol import Queue
from shanmen.common.db import Tx
from shanmen.common.errors import Malformed, NotYet
from shanmen.common.inbox import subscribe
from shanmen.common.testing.events import QUICK, eventually, message_of
from shanmen.common.testing.fixtures import OpenDatabase, OpenTransport
from shanmen.common.testing.queues import put_raw
from shanmen.common.testing.servers import RabbitServer
from shanmen.common.testing.toys.events import ThingHappened, ThingLost
from shanmen.common.testing.toys.keeper import (
    KEEPER,
    THINGS_QUEUE,
    KeeperContext,
    count_transactions,
    keep_thing,
)
from shanmen.common.testing.toys.maker import OUTBOX
from shanmen.common.testing.toys.pair import open_pair


def thing(number: int) -> ThingHappened:
    return ThingHappened(thing_no=f"thg_{number}", number=number)


class Refuser:
    """A behaviour that fails on one number until it is mended, and notes when it was asked."""

    def __init__(self, number: int, error: Exception) -> None:
        self._number = number
        self._error: Exception | None = error
        self.asked_at: list[float] = []

    def mend(self) -> None:
        self._error = None

    async def __call__(self, tx: Tx, event: ThingHappened) -> None:
        if event.number == self._number:
            self.asked_at.append(time.monotonic())
            # The transaction is unusable after this: only a rollback gets its neighbours further.
            if isinstance(self._error, LookupError):
                await tx.execute(text("SELECT no_such_column FROM effects"))
            if self._error is not None:
                raise self._error


async def test_neighbours_of_a_failing_event_pass(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    refuser = Refuser(5, LookupError())
    pair = await open_pair(transport, open_database, behaviour=refuser)
    messages = [message_of(thing(number)) for number in range(10)]
    await pair.transport.publish(messages)
    await pair.drain()
    assert await pair.kept() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert await pair.parked() == [(messages[5].id, "ProgrammingError")]


async def test_a_batch_that_fails_is_taken_one_by_one(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    pair = await open_pair(transport, open_database, behaviour=Refuser(5, RuntimeError("bad")))
    await pair.transport.publish([message_of(thing(number)) for number in range(10)])
    await pair.drain()
    assert await count_transactions(pair.keeper_db) >= 5
    assert Counter(reason for _, _, reason in pair.transport.refused) == {"RuntimeError": 4}


async def test_a_refused_event_goes_down_the_ladder_and_is_parked(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    refuser = Refuser(1, RuntimeError("the text of an error may quote data"))
    pair = await open_pair(transport, open_database, behaviour=refuser)
    await pair.transport.publish([message := message_of(thing(1))])
    await pair.drain()
    # Each delivery tries it with its batch, and once more alone; the first of the pair counts.
    deliveries = refuser.asked_at[::2]
    waits = [after - before for before, after in pairwise(deliveries)]
    assert len(waits) == len(QUICK.delays_s)
    for wait_s, delay_s in zip(waits, QUICK.delays_s, strict=True):
        assert delay_s <= wait_s < delay_s + 2.0
    (letter,) = await pair.transport.dead_letters(THINGS_QUEUE)
    assert (letter.id, letter.queue, letter.type) == (message.id, THINGS_QUEUE, message.type)
    assert (letter.subject, letter.reason, letter.refusals) == ("thg_1", "RuntimeError", 4)
    assert await pair.kept() == []


async def test_an_event_that_is_too_early_is_retried_and_succeeds(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    refuser = Refuser(1, NotYet("its order is not here"))
    pair = await open_pair(transport, open_database, behaviour=refuser)
    async with pair.running():
        await pair.make(1, 2)
        await eventually(lambda: len(pair.transport.refused) == 2)
        assert await pair.kept() == [2]
        refuser.mend()
        await pair.settled()
    assert await pair.kept() == [1, 2]
    assert {reason for _, _, reason in pair.transport.refused} == {
        "not yet: its order is not here"
    }
    assert await pair.parked() == []


@pytest.mark.parametrize(
    ("type_name", "data", "reason"),
    [
        ("toy.never_heard_of.v1", {}, "no handler for events of type 'toy.never_heard_of.v1'"),
        (ThingHappened.TYPE, {"thing_no": "thg_1"}, "bad fields number"),
        (ThingHappened.TYPE, {"thing_no": 7, "number": "secret"}, "bad fields thing_no, number"),
    ],
)
async def test_a_malformed_event_is_parked_at_once(
    transport: OpenTransport,
    open_database: OpenDatabase,
    type_name: str,
    data: dict[str, object],
    reason: str,
) -> None:
    # The queue is bound to one type more than there are handlers, as after a roll-back.
    (things,) = KEEPER.subscriptions
    queue = Queue(THINGS_QUEUE, things.queue.types | {"toy.never_heard_of.v1"})
    keeper = replace(KEEPER, subscriptions=(replace(things, queue=queue),))
    pair = await open_pair(transport, open_database, keeper=keeper)
    bad = message_of(thing(1), type=type_name, data=data)
    await pair.transport.publish([message_of(thing(1)), bad, message_of(thing(3))])
    await pair.drain()
    assert await pair.kept() == [1, 3]
    ((parked_id, parked_reason),) = await pair.parked()
    assert parked_id == bad.id
    assert parked_reason.endswith(reason)
    assert "secret" not in parked_reason
    assert len(pair.transport.refused) == 1


async def test_a_handler_may_find_an_event_malformed(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    refuser = Refuser(1, Malformed("amounts do not add up"))
    pair = await open_pair(transport, open_database, behaviour=refuser)
    await pair.transport.publish([message := message_of(thing(1))])
    await pair.drain()
    assert await pair.parked() == [(message.id, "amounts do not add up")]
    assert len(pair.transport.refused) == 1


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe not even text", b'"a string"', b"[" * 100_000, b'{"thing_no": "t", "number": 1}'],
    ids=["bytes", "no object", "deep", "no attributes"],
)
async def test_a_message_of_somebody_else_is_parked_at_once(
    rabbitmq_transport: OpenTransport,
    rabbitmq_server: RabbitServer,
    open_database: OpenDatabase,
    body: bytes,
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    await put_raw(rabbitmq_server.url, THINGS_QUEUE, body)
    await pair.make(1)
    async with pair.running():
        await pair.settled()
        ((_, reason),) = await eventually(pair.parked)
        assert reason == "not an event of ours"
    assert await pair.kept() == [1]


async def test_dead_letters_are_redriven_after_the_repair(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    broken = True

    async def refuse_all(_tx: Tx, _event: ThingHappened) -> None:
        if broken:
            raise RuntimeError("not repaired")

    pair = await open_pair(transport, open_database, behaviour=refuse_all)
    messages = [message_of(thing(number)) for number in range(6)]
    await pair.transport.publish(messages)
    await pair.drain()
    ids = [message.id for message in messages]
    assert sorted(letter_id for letter_id, _ in await pair.parked()) == sorted(ids)
    assert len(await pair.parked()) == 6, "looking at them leaves them where they are"

    broken = False
    assert await pair.transport.redrive(THINGS_QUEUE, ids[:2]) == 2
    await pair.drain()
    assert await pair.kept() == [0, 1]
    assert await pair.transport.redrive(THINGS_QUEUE, ["evt_unknown"]) == 0
    assert await pair.transport.redrive(THINGS_QUEUE) == 4
    await pair.drain()
    assert await pair.kept() == [0, 1, 2, 3, 4, 5]
    assert await pair.parked() == []
    assert await pair.transport.redrive(THINGS_QUEUE) == 0


async def test_a_redriven_event_has_the_whole_ladder_before_it_again(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    pair = await open_pair(transport, open_database, behaviour=Refuser(1, RuntimeError("still")))
    await pair.transport.publish([message_of(thing(1))])
    await pair.drain()
    assert await pair.transport.redrive(THINGS_QUEUE) == 1
    await pair.drain()
    assert len(pair.transport.refused) == 2 * (len(QUICK.delays_s) + 1)
    (letter,) = await pair.transport.dead_letters(THINGS_QUEUE)
    assert letter.refusals == len(QUICK.delays_s) + 1


async def test_an_event_without_a_queue_waits_in_the_outbox_for_one(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    pair = await open_pair(transport, open_database)
    async with pair.maker_db.transaction() as tx:
        await OUTBOX.add(tx, [ThingLost(thing_no="thg_0")])
    await pair.make(1, 2)
    async with pair.running():
        await eventually(lambda: len(pair.transport.published) == 2)
        waits = []
        for refusals in (1, 2, 3):

            async def is_refused(count: int = refusals) -> float | None:
                async with pair.maker_db.transaction() as tx:
                    row = (
                        await tx.execute(
                            text(
                                "SELECT refusals, extract(epoch FROM not_before - now()) AS wait_s"
                                " FROM outbox WHERE type = 'toy.thing_lost.v1'"
                            )
                        )
                    ).one()
                return float(row.wait_s) if row.refusals == count else None

            waits.append(await eventually(is_refused))
            async with pair.maker_db.transaction() as tx:
                await tx.execute(text("UPDATE outbox SET not_before = now()"))
        assert waits == pytest.approx([1, 2, 4], abs=0.7)
        await eventually(pair.kept)
    assert await pair.kept() == [1, 2]

    async def hear_of_loss(tx: Tx, event: ThingLost, context: KeeperContext) -> None:
        await keep_thing(tx, ThingHappened(thing_no=event.thing_no, number=0), context)

    losses = subscribe("toykeeper.losses", {ThingLost: hear_of_loss})
    keeper = replace(KEEPER, subscriptions=(*KEEPER.subscriptions, losses))
    shared = await transport(keeper)
    async with pair.maker_db.transaction() as tx:
        await tx.execute(text("UPDATE outbox SET not_before = now()"))
    await replace(
        pair,
        transport=shared,
        maker=replace(pair.maker, transport=shared),
        keeper=replace(pair.keeper, service=keeper, transport=shared),
    ).drain()
    assert await pair.kept() == [0, 1, 2]
