"""What catalog's routes, handlers and jobs are given."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shanmen.catalog.domain import SERVICE_SCOPES
from shanmen.catalog.queries import parties as queries
from shanmen.catalog.settings import CatalogSettings
from shanmen.common.auth import Introspector, Principal, PrincipalKind, hash_token
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.outbox import Outbox


@dataclass(frozen=True)
class CatalogContext:
    """Catalog's ports."""

    db: Database
    tokens: Introspector
    clock: Clock
    outbox: Outbox
    settings: CatalogSettings


class OwnTokens:
    """Introspection at the source: service tokens from the settings, all others from the table."""

    def __init__(
        self, db: Database, clock: Clock, service_token_hashes: Mapping[str, str]
    ) -> None:
        self._db = db
        self._clock = clock
        self._services: Sequence[tuple[str, str]] = tuple(service_token_hashes.items())

    async def introspect(self, token: str, *, fresh: bool = False) -> Principal | None:
        """See Introspector."""
        token_hash = hash_token(token)
        for name, known_hash in self._services:
            if secrets.compare_digest(token_hash, known_hash):
                return Principal(
                    kind=PrincipalKind.SERVICE,
                    credential_id=f"service:{name}",
                    scopes=SERVICE_SCOPES[name],
                )
        async with self._db.transaction() as tx:
            row = await queries.live_credential(tx, token_hash, self._clock.now())
        if row is None:
            return None
        return Principal(
            kind=PrincipalKind(row.kind),
            credential_id=row.credential_id,
            scopes=frozenset(row.scopes),
            party_id=row.party_id,
            reseller=row.reseller,
            person=row.person,
        )
