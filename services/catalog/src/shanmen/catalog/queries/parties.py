"""SQL of parties, their settlement accounts and their credentials."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.catalog.tables import ACCOUNTS, CREDENTIALS, PARTIES, PERSONS
from shanmen.common.db import Tx, among

Rows = Sequence[Row[Any]]


async def insert_party(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """Add a spot or a distributor."""
    return (await tx.execute(insert(PARTIES).values(values).returning(PARTIES))).one()


async def party(
    tx: Tx, party_id: str, kind: str | None = None, *, lock: bool = False
) -> Row[Any] | None:
    """One party, of one kind if given; locked against others who ask for it locked."""
    wanted = select(PARTIES).where(PARTIES.c.party_id == party_id)
    if kind is not None:
        wanted = wanted.where(PARTIES.c.kind == kind)
    if lock:
        wanted = wanted.with_for_update(key_share=True)
    return (await tx.execute(wanted)).one_or_none()


async def parties(tx: Tx, kind: str, *, only: str | None, after: str | None, limit: int) -> Rows:
    """Parties of a kind in order of id, one more than `limit`."""
    wanted = select(PARTIES).where(PARTIES.c.kind == kind).order_by(PARTIES.c.party_id)
    if only is not None:
        wanted = wanted.where(PARTIES.c.party_id == only)
    return (await tx.execute(_page(wanted, PARTIES.c.party_id, after, limit))).all()


async def parties_by_id(tx: Tx, party_ids: Sequence[str], kind: str) -> dict[str, Row[Any]]:
    """Those of these parties that are of a kind, by id."""
    rows = await tx.execute(
        select(PARTIES).where(among(PARTIES.c.party_id, party_ids), PARTIES.c.kind == kind)
    )
    return {row.party_id: row for row in rows}


async def clear_default_account(tx: Tx, party_id: str, role: str) -> str | None:
    """Make room for another default account of a role; returns the id of the one it was."""
    cleared = (
        update(ACCOUNTS)
        .where(ACCOUNTS.c.party_id == party_id, ACCOUNTS.c.role == role, ACCOUNTS.c.is_default)
        .values(is_default=False)
    )
    return (await tx.execute(cleared.returning(ACCOUNTS.c.account_id))).scalar_one_or_none()


async def put_default_account(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """Make an account its party's default: a new row, or the row of this very account."""
    added = upsert(ACCOUNTS).values(**values, is_default=True)
    put = added.on_conflict_do_update(
        constraint="accounts_same_twice",
        set_={"is_default": True, "default_since": added.excluded.default_since},
    )
    return (await tx.execute(put.returning(ACCOUNTS))).one()


async def account(tx: Tx, account_id: str) -> Row[Any] | None:
    """One account."""
    wanted = select(ACCOUNTS).where(ACCOUNTS.c.account_id == account_id)
    return (await tx.execute(wanted)).one_or_none()


async def accounts(
    tx: Tx, *, party_id: str | None, is_default: bool | None, after: str | None, limit: int
) -> Rows:
    """Accounts in order of id, of one party or only (no) defaults if given.

    One more than `limit`.
    """
    wanted = select(ACCOUNTS).order_by(ACCOUNTS.c.account_id)
    if party_id is not None:
        wanted = wanted.where(ACCOUNTS.c.party_id == party_id)
    if is_default is not None:
        wanted = wanted.where(ACCOUNTS.c.is_default.is_(is_default))
    return (await tx.execute(_page(wanted, ACCOUNTS.c.account_id, after, limit))).all()


async def default_accounts(tx: Tx, party_ids: Sequence[str], role: str) -> dict[str, Row[Any]]:
    """The default account of a role, by party."""
    rows = await tx.execute(
        select(ACCOUNTS).where(
            among(ACCOUNTS.c.party_id, party_ids), ACCOUNTS.c.role == role, ACCOUNTS.c.is_default
        )
    )
    return {row.party_id: row for row in rows}


async def add_person(tx: Tx, person: str) -> bool:
    """Remember a holder of operators' tokens; False when they are remembered already.

    Who adds the same person at the same time waits for the other.
    """
    added = upsert(PERSONS).values(person=person).on_conflict_do_nothing()
    return (await tx.execute(added)).rowcount == 1


async def insert_credential(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """Add a credential; only the token's hash is stored."""
    return (await tx.execute(insert(CREDENTIALS).values(values).returning(CREDENTIALS))).one()


async def live_credential(tx: Tx, token_hash: str, now: datetime) -> Row[Any] | None:
    """The credential of a token, unless it is revoked or expired."""
    wanted = select(CREDENTIALS).where(
        CREDENTIALS.c.token_hash == token_hash,
        CREDENTIALS.c.revoked_at.is_(None),
        or_(CREDENTIALS.c.expires_at.is_(None), CREDENTIALS.c.expires_at > now),
    )
    return (await tx.execute(wanted)).one_or_none()


async def revoke_credential(
    tx: Tx, credential_id: str, *, party_id: str | None, now: datetime
) -> Row[Any] | None:
    """Revoke a credential (of one party if given); None when there is no such live one."""
    revoked = update(CREDENTIALS).where(
        CREDENTIALS.c.credential_id == credential_id, CREDENTIALS.c.revoked_at.is_(None)
    )
    if party_id is not None:
        revoked = revoked.where(CREDENTIALS.c.party_id == party_id)
    row = await tx.execute(revoked.values(revoked_at=now).returning(CREDENTIALS))
    return row.one_or_none()


async def credentials(tx: Tx, *, party_id: str | None, after: str | None, limit: int) -> Rows:
    """Credentials in order of id, of one party if given, one more than `limit`."""
    wanted = select(CREDENTIALS).order_by(CREDENTIALS.c.credential_id)
    if party_id is not None:
        wanted = wanted.where(CREDENTIALS.c.party_id == party_id)
    return (await tx.execute(_page(wanted, CREDENTIALS.c.credential_id, after, limit))).all()


def _page(wanted: Select[Any], key: Any, after: str | None, limit: int) -> Select[Any]:
    return (wanted if after is None else wanted.where(key > after)).limit(limit + 1)
