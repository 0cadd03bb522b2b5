"""Who is calling, and what they may do.

Tokens are opaque. A service asks an `Introspector` (catalog, or its cache) who a token stands for
and gets a `Principal`; the tenant of every query comes from there and from nowhere else.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final, Protocol

import httpx
from pydantic import BaseModel
from starlette.requests import Request

from shanmen.common.errors import Forbidden, Unauthenticated, Unavailable

TOKEN_PREFIX: Final = "shm_"  # noqa: S105 - what our tokens begin with, so that scanners know them
CACHE_S: Final = 60.0
STALE_S: Final = 600.0
_CACHE_SIZE: Final = 10_000


class PrincipalKind(StrEnum):
    """Whose token it is."""

    OPERATOR = "operator"
    SPOT = "spot"
    DISTRIBUTOR = "distributor"
    RESELLER = "reseller"
    DEVICE = "device"
    SERVICE = "service"


class Principal(BaseModel, frozen=True):
    """The caller: kind, tenant, credential and scopes.

    `party_id` is the spot or distributor that the caller belongs to, None for operators and
    services; `reseller` narrows a reseller's view to its own orders. `person` is who holds an
    operator's token, None for all others: four eyes are those of two persons, whatever number of
    tokens each of them has.
    """

    kind: PrincipalKind
    credential_id: str
    scopes: frozenset[str]
    party_id: str | None = None
    reseller: str | None = None
    person: str | None = None

    @property
    def owner(self) -> str:
        """The name space of this caller's idempotency keys, and its name in timelines.

        The tokens of one distributor share it, so that a key survives rotation; every gate has its
        own, so that two of them never answer for each other.
        """
        if self.kind is PrincipalKind.DEVICE or self.party_id is None:
            return f"{self.kind}:{self.credential_id}"
        return ":".join(filter(None, (self.kind, self.party_id, self.reseller)))

    @property
    def is_operator(self) -> bool:
        """Whether the platform itself is calling."""
        return self.kind is PrincipalKind.OPERATOR


class Introspector(Protocol):
    """Tells who a token stands for."""

    async def introspect(self, token: str, *, fresh: bool = False) -> Principal | None:
        """The principal, or None for a token that is unknown, expired or revoked.

        `fresh` wants the truth of this moment, never a remembered one. Raises Unavailable when
        nobody can tell now.
        """


def hash_token(token: str) -> str:
    """What is stored of a token. It is 256 random bits, so a fast hash suffices."""
    return hashlib.sha256(token.encode()).hexdigest()


class RemoteIntrospector:
    """Asks catalog (RFC 7662), remembers answers for a minute, and outlives its short outages."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {service_token}"}
        self._cache: dict[str, tuple[float, Principal]] = {}

    async def introspect(self, token: str, *, fresh: bool = False) -> Principal | None:
        """See Introspector."""
        key, now = hash_token(token), time.monotonic()
        known = None if fresh else self._cache.get(key)
        if known is not None and now - known[0] < CACHE_S:
            return known[1]
        try:
            principal = await self._ask(token)
        except (httpx.HTTPError, Unavailable) as error:
            if known is not None and now - known[0] < STALE_S:
                return known[1]
            raise Unavailable("Tokens cannot be checked at the moment.") from error
        self._cache.pop(key, None)  # what it stood for before must not outlive this answer
        if principal is not None:  # a guess must not displace what is known
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.pop(next(iter(self._cache)))
            self._cache[key] = (now, principal)
        return principal

    def forget(self, credential_id: str) -> None:
        """Drop a revoked credential from the cache."""
        self._cache = {
            key: entry
            for key, entry in self._cache.items()
            if entry[1].credential_id != credential_id
        }

    async def _ask(self, token: str) -> Principal | None:
        answer = await self._client.post(
            "/internal/introspect", data={"token": token}, headers=self._headers
        )
        if answer.status_code != httpx.codes.OK:
            raise Unavailable("Tokens cannot be checked at the moment.")
        body = answer.json()
        return Principal.model_validate(body["principal"]) if body["active"] else None


async def authenticate(request: Request, *, fresh: bool = False) -> Principal:
    """The principal of a request; `fresh` as in Introspector. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send your token as 'Authorization: Bearer <token>'.")
    tokens: Introspector = request.app.state.context.tokens
    principal = await tokens.introspect(token.strip(), fresh=fresh)
    if principal is None:
        raise Unauthenticated("This token is unknown, expired or revoked.")
    return principal


def requires(*scopes: str, fresh: bool = False) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency: the principal, if it has any of the scopes. Raises Forbidden.

    `fresh` is for what a token must not do even a moment after it was revoked.
    """

    async def dependency(request: Request) -> Principal:
        principal = await authenticate(request, fresh=fresh)
        if not principal.scopes.intersection(scopes):
            wanted = " or ".join(repr(scope) for scope in scopes)
            raise Forbidden(f"This token lacks the scope {wanted}.", scopes=list(scopes))
        return principal

    dependency.scopes = scopes  # type: ignore[attr-defined] # read by the route inventory tests
    return dependency
