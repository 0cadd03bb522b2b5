"""Callers for tests: principals without a catalog behind them."""

from collections.abc import Iterable

from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.ids import new_id


def principal(
    kind: PrincipalKind | str,
    party_id: str | None = None,
    *,
    scopes: Iterable[str] = (),
    reseller: str | None = None,
    person: str | None = None,
) -> Principal:
    """A principal with a credential of its own; an operator is a person of its own, too."""
    credential_id = new_id("crd")
    if kind == PrincipalKind.OPERATOR and person is None:
        person = f"holder of {credential_id}"
    return Principal(
        kind=PrincipalKind(kind),
        credential_id=credential_id,
        scopes=frozenset(scopes),
        party_id=party_id,
        reseller=reseller,
        person=person,
    )


class FakeIntrospector:
    """Knows the tokens that it issued, and nothing else."""

    def __init__(self) -> None:
        self._principals: dict[str, Principal] = {}

    def issue(self, who: Principal) -> str:
        """A token that stands for `who`, until it is revoked."""
        token = f"shm_{new_id('test')}"
        self.accept(token, who)
        return token

    def accept(self, token: str, who: Principal) -> None:
        """Let a token that was made elsewhere stand for `who`."""
        self._principals[token] = who

    def revoke(self, token: str) -> None:
        """Let the token stand for nobody."""
        self._principals.pop(token, None)

    async def introspect(self, token: str, *, fresh: bool = False) -> Principal | None:
        """See shanmen.common.auth.Introspector."""
        return self._principals.get(token)
