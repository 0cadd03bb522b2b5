"""`Idempotency-Key`: one effect and one answer, however often and however close together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from shanmen.common.auth import Principal
from shanmen.common.db import Database, Tx
from shanmen.common.errors import Conflict
from shanmen.common.idempotency import (
    Claim,
    KeyInUse,
    KeyReused,
    Reply,
    amend,
    forget_expired,
    once,
    recall,
    remember,
)
from shanmen.common.testing.clients import api_client
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import principal
from shanmen.common.testing.toys.maker import MAKER, READ, THINGS, WRITE, MakerContext, make_thing

ACME = principal("distributor", "dst_acme", scopes=[READ, WRITE])


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """The maker's database."""
    return await open_database(MAKER)


@asynccontextmanager
async def client_of(database: Database, who: Principal = ACME) -> AsyncIterator[httpx.AsyncClient]:
    context = MakerContext(database)
    token = context.tokens.issue(who)  # type: ignore[attr-defined] # it is the fake one
    async with api_client(MAKER, context, token=token) as client:
        yield client


async def count_things(database: Database) -> int:
    async with database.transaction() as tx:
        return int(await tx.scalar(select(func.count()).select_from(THINGS)) or 0)


def with_key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def test_the_first_answer_is_given_again(database: Database) -> None:
    async with client_of(database) as client:
        first = await client.post("/v1/things", json={"number": 1}, headers=with_key("k1"))
        again = await client.post("/v1/things", json={"number": 1}, headers=with_key("k1"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await count_things(database) == 1


async def test_a_key_stands_for_one_body(database: Database) -> None:
    async with client_of(database) as client:
        await client.post("/v1/things", json={"number": 1}, headers=with_key("k1"))
        other = await client.post("/v1/things", json={"number": 2}, headers=with_key("k1"))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await count_things(database) == 1


async def test_a_key_belongs_to_its_owner(database: Database) -> None:
    bolt = principal("distributor", "dst_bolt", scopes=[WRITE])
    reseller = principal("reseller", "dst_acme", scopes=[WRITE], reseller="corner shop")
    answers = []
    for number, who in enumerate([ACME, bolt, reseller], start=1):
        async with client_of(database, who) as client:
            answers.append(
                await client.post("/v1/things", json={"number": number}, headers=with_key("k1"))
            )
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert await count_things(database) == 3


async def test_two_credentials_of_one_party_share_their_keys(database: Database) -> None:
    rotated = ACME.model_copy(update={"credential_id": "crd_new"})
    answers = []
    for who in (ACME, rotated):
        async with client_of(database, who) as client:
            answers.append(
                await client.post("/v1/things", json={"number": 1}, headers=with_key("k1"))
            )
    assert answers[0].content == answers[1].content
    assert await count_things(database) == 1


async def test_without_a_key_every_request_counts(database: Database) -> None:
    async with client_of(database) as client:
        for number in (1, 2):
            assert (await client.post("/v1/things", json={"number": number})).status_code == 201
    assert await count_things(database) == 2


async def test_concurrent_requests_have_one_effect(database: Database) -> None:
    async with client_of(database) as client:
        answers = await asyncio.gather(
            *(
                client.post("/v1/things", json={"number": 1}, headers=with_key("k1"))
                for _ in range(20)
            )
        )
        afterwards = await client.post("/v1/things", json={"number": 1}, headers=with_key("k1"))
    assert await count_things(database) == 1
    by_status: dict[int, set[bytes]] = {}
    for answer in answers:
        by_status.setdefault(answer.status_code, set()).add(answer.content)
    assert by_status.keys() <= {201, 409, 503}
    assert by_status[201] == {afterwards.content}
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["code"] == "idempotency_key_in_use"


async def test_while_the_first_request_runs_the_second_is_refused(database: Database) -> None:
    running, finish = asyncio.Event(), asyncio.Event()
    claim = Claim("owner", "k1", "fingerprint")

    async def slow(_tx: Tx) -> Reply:
        running.set()
        await finish.wait()
        return Reply.of(201, {"first": True})

    async def never(_tx: Tx) -> Reply:
        raise AssertionError("must not run")

    first = asyncio.create_task(once(database, claim, slow))
    await running.wait()
    with pytest.raises(KeyInUse):
        await once(database, claim, never)
    finish.set()
    reply = await first
    assert await once(database, claim, never) == reply.as_replay()


async def test_a_refusal_leaves_the_key_free(database: Database) -> None:
    claim = Claim("owner", "k1", "fingerprint")

    async def refuse(tx: Tx) -> Reply:
        await make_thing(tx, 7)
        raise Conflict("sold out", code="sold_out")

    async def succeed(_tx: Tx) -> Reply:
        return Reply.of(201, {})

    with pytest.raises(Conflict):
        await once(database, claim, refuse)
    assert await count_things(database) == 0
    assert (await once(database, claim, succeed)).headers == {}


@pytest.mark.parametrize("headers", [{}, with_key("k1")], ids=["no key", "key"])
async def test_a_commit_that_fails_is_never_a_success(
    database: Database, headers: dict[str, str]
) -> None:
    """The number's uniqueness is looked at by the COMMIT, after the answer was made."""
    async with client_of(database) as client:
        await client.post("/v1/things", json={"number": 1})
        failed = await client.post("/v1/things", json={"number": 1}, headers=headers)
        assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
        assert "things_number_key" not in failed.text
        # Nothing of it was stored, its key neither.
        other = await client.post("/v1/things", json={"number": 2}, headers=headers)
    assert other.status_code == 201
    assert await count_things(database) == 2


async def test_claims_of_a_list_are_answered_together(database: Database) -> None:
    done = Claim("owner", "done", "f")
    async with database.transaction() as tx:
        await remember(tx, [(done, Reply.of(201, {"n": 1})), (None, Reply.of(201, {}))])
    async with database.transaction() as tx:
        answers: list[Any] = await recall(
            tx,
            [
                Claim("owner", "new", "f"),
                done,
                None,
                Claim("owner", "done", "another body"),
                Claim("owner", "new", "f"),
                Claim("other owner", "done", "f"),
            ],
        )
    assert answers[0] is None
    assert (answers[1].status, answers[1].body) == (201, '{"n": 1}')
    assert answers[1].headers == {"Idempotency-Replayed": "true"}
    assert answers[2] is None
    assert isinstance(answers[3], KeyReused)
    assert isinstance(answers[4], KeyInUse), "of two equal claims one goes ahead"
    assert answers[5] is None


async def test_a_stored_answer_can_be_amended(database: Database) -> None:
    claim = Claim("owner", "k1", "f")
    async with database.transaction() as tx:
        await remember(tx, [(claim, Reply.of(202, {"status": "pending"}))])
        await amend(tx, claim, Reply.of(201, {"status": "done"}))
        await amend(tx, None, Reply.of(500, {}))
    async with database.transaction() as tx:
        (answer,) = await recall(tx, [claim])
    assert isinstance(answer, Reply)
    assert (answer.status, answer.body) == (201, '{"status": "done"}')


async def test_keys_are_kept_for_a_day(database: Database) -> None:
    async with database.transaction() as tx:
        for key in ("old", "young"):
            await remember(tx, [(Claim("owner", key, "f"), Reply.of(201, {}))])
        await tx.execute(
            text(
                "UPDATE idempotency_keys SET created_at = now() - make_interval(hours => "
                "CASE key WHEN 'old' THEN 25 ELSE 23 END)"
            )
        )
    async with database.transaction() as tx:
        assert await forget_expired(tx) == 1
        assert list(await tx.scalars(text("SELECT key FROM idempotency_keys"))) == ["young"]
