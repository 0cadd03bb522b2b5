"""Onboarding: spots, distributors, their settlement accounts and credentials."""

import secrets
from typing import Any

from sqlalchemy import Row

from shanmen.catalog.domain import MINTABLE, SCOPES, AccountRole, PartyKind
from shanmen.catalog.errors import DuplicateAccount, NotYours, UnknownReference
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.queries import parties as queries
from shanmen.catalog.schemas import (
    AccountView,
    CredentialView,
    DistributorView,
    NewAccount,
    NewCredential,
    NewDistributor,
    NewSpot,
    SpotView,
)
from shanmen.common.auth import TOKEN_PREFIX, Principal, hash_token
from shanmen.common.db import Tx
from shanmen.common.errors import Invalid, NotFound
from shanmen.common.ids import new_id

_ROLE_OF = {PartyKind.SPOT: AccountRole.RECEIVE, PartyKind.DISTRIBUTOR: AccountRole.PAY}


async def onboard_spot(tx: Tx, body: NewSpot) -> SpotView:
    """A scenic spot joins the platform."""
    row = await queries.insert_party(
        tx,
        {
            "party_id": new_id("spt"),
            "kind": PartyKind.SPOT,
            "name": body.name,
            "contact_phone": body.contact_phone,
            "time_zone": body.time_zone,
            "fee_bps": body.settlement_fee_bps,
            "offline_grace_s": body.offline_grace_s,
        },
    )
    return spot_view(row)


async def onboard_distributor(tx: Tx, body: NewDistributor) -> DistributorView:
    """A distributor joins the platform."""
    row = await queries.insert_party(
        tx,
        {
            "party_id": new_id("dst"),
            "kind": PartyKind.DISTRIBUTOR,
            "name": body.name,
            "contact_phone": body.contact_phone,
            "time_zone": "Asia/Shanghai",
            "fee_bps": body.transaction_fee_bps,
        },
    )
    return distributor_view(row)


async def register_account(
    tx: Tx, ctx: CatalogContext, principal: Principal, body: NewAccount
) -> AccountView:
    """Make a settlement account the default of its role; earlier ones stay for earlier orders.

    An account is never changed. One that the party had before is taken up again if it is the same
    to the letter; with another name or agreement it is another account. Raises DuplicateAccount
    when it is the default already.
    """
    party_id = _own_party(principal, body.party_id)
    # Locked: two accounts that come at once must not both become the default.
    party = await queries.party(tx, party_id, lock=True)
    if party is None:
        raise UnknownReference(f"There is no party {party_id!r}.", field="body.party_id")
    if body.role is not _ROLE_OF[PartyKind(party.kind)]:
        raise Invalid(f"A {party.kind} has no {body.role} account.", field="body.role")
    former_id = await queries.clear_default_account(tx, party_id, body.role)
    row = await queries.put_default_account(
        tx,
        {
            "account_id": new_id("acc"),
            "party_id": party_id,
            "role": body.role,
            "channel": body.channel,
            "account_no": body.account_no,
            "account_name": body.account_name,
            "agreement_no": body.agreement_no,
            "default_since": ctx.clock.now(),
        },
    )
    if row.account_id == former_id:
        raise DuplicateAccount(
            f"This very account is the party's default {body.role} account already; "
            "there is nothing to register.",
            account_id=former_id,
        )
    return account_view(row)


async def mint_credential(
    tx: Tx, ctx: CatalogContext, principal: Principal, body: NewCredential
) -> CredentialView:
    """Make a token; its plain text is in the answer and nowhere else."""
    if body.kind not in MINTABLE.get(principal.kind, frozenset()):
        raise NotYours(f"A {principal.kind} cannot mint a {body.kind} credential.")
    if body.kind == "operator" and body.party_id is not None:
        raise Invalid("An operator belongs to no party.", field="body.party_id")
    party_id = None
    if body.kind != "operator":
        party_id = _own_party(principal, body.party_id)
        await _check_party_fits(tx, party_id, body.kind)
    if (body.kind == "reseller") != (body.reseller is not None):
        raise Invalid("`reseller` goes with kind `reseller`.", field="body.reseller")
    if body.expires_at is not None and body.expires_at <= ctx.clock.now():
        raise Invalid("expires_at lies in the past.", field="body.expires_at")
    is_operator = body.kind == "operator"
    allowed = SCOPES[body.kind] & principal.scopes if is_operator else SCOPES[body.kind]
    scopes = allowed if body.scopes is None else frozenset(body.scopes)
    if not scopes <= allowed:
        unknown = ", ".join(sorted(scopes - allowed))
        owner = "Your own token" if is_operator else f"A {body.kind}"
        raise Invalid(f"{owner} cannot have: {unknown}.", field="body.scopes")
    return await issue_token(
        tx,
        kind=body.kind,
        party_id=party_id,
        reseller=body.reseller,
        person=await _known_person(tx, principal) if is_operator else None,
        label=body.label,
        scopes=sorted(scopes),
        expires_at=body.expires_at,
    )


async def issue_token(tx: Tx, *, kind: str, label: str, **values: Any) -> CredentialView:
    """Make a credential without asking who wants it (also the first operator's)."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = await queries.insert_credential(
        tx,
        {
            "credential_id": new_id("crd"),
            "token_hash": hash_token(token),
            "kind": kind,
            "label": label,
            "scopes": sorted(SCOPES[kind]),
            **values,
        },
    )
    return credential_view(row).model_copy(update={"token": token})


async def revoke_credential(
    tx: Tx, ctx: CatalogContext, principal: Principal, credential_id: str
) -> CredentialView:
    """Make a token useless, within a minute at every service."""
    row = await queries.revoke_credential(
        tx, credential_id, party_id=principal.party_id, now=ctx.clock.now()
    )
    if row is None:
        raise NotFound("live credential", credential_id)
    return credential_view(row)


async def _known_person(tx: Tx, principal: Principal) -> str | None:
    if principal.person is not None:
        await queries.add_person(tx, principal.person)
    return principal.person


def _own_party(principal: Principal, asked: str | None) -> str:
    """The party that is acted for: the caller's own, or whichever an operator names."""
    if principal.is_operator:
        if asked is None:
            raise Invalid("Say for which party.", field="body.party_id")
        return asked
    if principal.party_id is None or asked not in (None, principal.party_id):
        raise NotFound("party", str(asked))
    return principal.party_id


async def _check_party_fits(tx: Tx, party_id: str, credential_kind: str) -> None:
    kind = "spot" if credential_kind in ("spot", "device") else "distributor"
    if await queries.party(tx, party_id, kind) is None:
        raise UnknownReference(f"There is no {kind} {party_id!r}.", field="body.party_id")


def spot_view(row: Row[Any]) -> SpotView:
    """A row as it is shown."""
    return SpotView(
        spot_id=row.party_id,
        name=row.name,
        contact_phone=_masked_phone(row.contact_phone),
        time_zone=row.time_zone,
        settlement_fee_bps=row.fee_bps,
        offline_grace_s=row.offline_grace_s,
        created_at=row.created_at,
    )


def distributor_view(row: Row[Any]) -> DistributorView:
    """A row as it is shown."""
    return DistributorView(
        distributor_id=row.party_id,
        name=row.name,
        contact_phone=_masked_phone(row.contact_phone),
        transaction_fee_bps=row.fee_bps,
        created_at=row.created_at,
    )


def account_view(row: Row[Any]) -> AccountView:
    """A row as it is shown."""
    return AccountView(
        account_id=row.account_id,
        party_id=row.party_id,
        role=row.role,
        channel=row.channel,
        account_no_masked=_masked(row.account_no),
        account_name=row.account_name,
        is_default=row.is_default,
        default_since=row.default_since if row.is_default else None,
        created_at=row.created_at,
    )


def credential_view(row: Row[Any]) -> CredentialView:
    """A row as it is shown; the token is not in it."""
    return CredentialView(
        credential_id=row.credential_id,
        kind=row.kind,
        party_id=row.party_id,
        reseller=row.reseller,
        person=row.person,
        label=row.label,
        scopes=list(row.scopes),
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        created_at=row.created_at,
    )


def _masked(number: str) -> str:
    return f"{number[:2]}***{number[-4:]}" if len(number) > 8 else "***"


def _masked_phone(number: str | None) -> str | None:
    return None if number is None else f"{number[:3]}****{number[-2:]}"
