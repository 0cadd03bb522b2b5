"""`Idempotency-Key`: the first answer to a request is stored with its effect, and given again.

Key, request fingerprint and answer lie in one row, written in the transaction of the effect. A
refusal has no effect and is not stored: the same request may succeed later.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from shanmen.common.db import Database, Tx
from shanmen.common.errors import Conflict, Invalid, Refusal

KEEP_HOURS = 24

IDEMPOTENCY_KEYS = Table(
    "idempotency_keys",
    MetaData(),
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

_TRY_LOCKS = text(
    "SELECT name, pg_try_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(:names) AS name"
).bindparams(bindparam("names", type_=ARRAY(Text)))

# Two arrays rather than a list of pairs: one statement text for lists of any length.
_STORED = text(
    "SELECT k.* FROM unnest(:owners, :keys) AS wanted(owner, key)"
    " JOIN idempotency_keys k USING (owner, key)"
).bindparams(bindparam("owners", type_=ARRAY(Text)), bindparam("keys", type_=ARRAY(Text)))


@dataclass(frozen=True)
class Claim:
    """One use of a key: whose key it is, the key, and what was asked under it."""

    owner: str
    key: str
    fingerprint: str

    @property
    def lock_name(self) -> str:
        """What concurrent uses of the same key contend for."""
        return f"{self.owner}\n{self.key}"


@dataclass(frozen=True)
class Reply:
    """An HTTP answer as it is stored and sent: status and the exact JSON text."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, content: Any, **headers: str) -> "Reply":
        """Render JSON content (already in JSON types)."""
        return cls(status, json.dumps(content, ensure_ascii=False), headers)

    def as_replay(self) -> "Reply":
        """The same answer, marked as given before."""
        return Reply(self.status, self.body, {"Idempotency-Replayed": "true"})


class KeyInUse(Conflict):
    """The first request under this key is still running."""

    code = "idempotency_key_in_use"


class KeyReused(Invalid):
    """The key was used before for another request."""

    code = "idempotency_key_reused"


async def recall(tx: Tx, claims: Sequence[Claim | None]) -> list[Reply | Refusal | None]:
    """For each claim: None to go ahead, the stored first answer, or why it is refused.

    A claim that may go ahead holds its key until the transaction ends. Of two equal claims in one
    list, the later is told that the key is in use.
    """
    present = [claim for claim in claims if claim is not None]
    if not present:
        return [None] * len(claims)
    locked = await _lock(tx, present)
    stored = await _stored(tx, present)
    taken: set[str] = set()
    answers: list[Reply | Refusal | None] = []
    for claim in claims:
        if claim is None:
            answers.append(None)
            continue
        row = stored.get((claim.owner, claim.key))
        if row is not None:
            answers.append(_first_answer(claim, row))
        elif claim.lock_name in locked and claim.lock_name not in taken:
            taken.add(claim.lock_name)
            answers.append(None)
        else:
            answers.append(KeyInUse("A request with this Idempotency-Key is still running."))
    return answers


async def remember(tx: Tx, answers: Sequence[tuple[Claim | None, Reply]]) -> None:
    """Store first answers, in the transaction of their effects."""
    rows = [
        {
            "owner": claim.owner,
            "key": claim.key,
            "fingerprint": claim.fingerprint,
            "status": reply.status,
            "body": reply.body,
        }
        for claim, reply in answers
        if claim is not None
    ]
    if rows:
        await tx.execute(insert(IDEMPOTENCY_KEYS), rows)


async def amend(tx: Tx, claim: Claim | None, reply: Reply) -> None:
    """Replace a stored answer by the one that is about to be sent after waiting."""
    if claim is not None:
        await tx.execute(
            update(IDEMPOTENCY_KEYS)
            .where(IDEMPOTENCY_KEYS.c.owner == claim.owner, IDEMPOTENCY_KEYS.c.key == claim.key)
            .values(status=reply.status, body=reply.body)
        )


async def answered(database: Database, claim: Claim | None) -> Reply | None:
    """The first answer to a request that was carried out already; for effects that take long to
    prepare. Raises what `once` raises for a claim that must not go ahead."""
    async with database.transaction() as tx:
        (earlier,) = await recall(tx, [claim])
    if isinstance(earlier, Refusal):
        raise earlier
    return earlier


async def once(
    database: Database, claim: Claim | None, effect: Callable[[Tx], Awaitable[Reply]]
) -> Reply:
    """Carry out an effect in a transaction of its own, or give its first answer again."""
    async with database.transaction() as tx:
        (earlier,) = await recall(tx, [claim])
        if isinstance(earlier, Refusal):
            raise earlier
        if earlier is not None:
            return earlier
        reply = await effect(tx)
        await remember(tx, [(claim, reply)])
        return reply


async def forget_expired(tx: Tx) -> int:
    """Delete keys older than they are promised to be kept; returns how many."""
    horizon = func.now() - func.make_interval(0, 0, 0, 0, KEEP_HOURS)
    expired = delete(IDEMPOTENCY_KEYS).where(IDEMPOTENCY_KEYS.c.created_at < horizon)
    return (await tx.execute(expired)).rowcount


async def _lock(tx: Tx, claims: Sequence[Claim]) -> set[str]:
    names = sorted({claim.lock_name for claim in claims})
    rows = await tx.execute(_TRY_LOCKS, {"names": names})
    return {name for name, obtained in rows if obtained}


async def _stored(tx: Tx, claims: Sequence[Claim]) -> dict[tuple[str, str], Any]:
    # A statement of its own after the lock: its snapshot sees what the last holder committed.
    keys = sorted({(claim.owner, claim.key) for claim in claims})
    found = await tx.execute(
        _STORED, {"owners": [owner for owner, _ in keys], "keys": [key for _, key in keys]}
    )
    return {(row.owner, row.key): row for row in found}


def _first_answer(claim: Claim, row: Any) -> Reply | Refusal:
    if row.fingerprint != claim.fingerprint:
        return KeyReused(
            "This Idempotency-Key was used for another request. Use a new key for a new request."
        )
    return Reply(row.status, row.body).as_replay()
