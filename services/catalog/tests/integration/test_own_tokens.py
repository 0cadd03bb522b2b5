"""Who a token stands for, asked at the source."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shanmen.catalog.bootstrap import mint_operator_token
from shanmen.catalog.domain import SCOPES, SERVICE_SCOPES
from shanmen.catalog.ports import OwnTokens
from shanmen.catalog.schemas import CredentialView, NewCredential
from shanmen.catalog.tables import CREDENTIALS
from shanmen.catalog.usecases.parties import mint_credential, revoke_credential
from shanmen.common.auth import Principal, hash_token
from shanmen.common.testing.principals import principal

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

OPERATOR = principal("operator")


@pytest.fixture
def own_tokens(market: "Market") -> OwnTokens:
    """Catalog's introspector, with one service's token in its settings."""
    hashes = {"orders": hash_token("shs_orders"), "settlement": hash_token("shs_settlement")}
    return OwnTokens(market.ctx.db, market.clock, hashes)


async def mint(market: "Market", who: Principal, **body: object) -> CredentialView:
    async with market.ctx.db.transaction() as tx:
        wanted = NewCredential.model_validate({"label": "test", **body})
        return await mint_credential(tx, market.ctx, who, wanted)


async def test_a_token_stands_for_its_principal(market: "Market", own_tokens: OwnTokens) -> None:
    distributor = await market.distributor()
    view = await mint(market, OPERATOR, kind="distributor", party_id=distributor)
    assert await own_tokens.introspect(str(view.token)) == Principal(
        kind="distributor",
        credential_id=view.credential_id,
        scopes=SCOPES["distributor"],
        party_id=distributor,
    )


async def test_a_resellers_token_is_narrowed_to_it(
    market: "Market", own_tokens: OwnTokens
) -> None:
    distributor = principal("distributor", await market.distributor())
    view = await mint(
        market, distributor, kind="reseller", reseller="代购甲", scopes=["orders:read"]
    )
    found = await own_tokens.introspect(str(view.token))
    assert found is not None
    assert (str(found.kind), found.party_id) == ("reseller", distributor.party_id)
    assert (found.reseller, list(found.scopes)) == ("代购甲", ["orders:read"])


async def test_a_token_ends_at_its_time(market: "Market", own_tokens: OwnTokens) -> None:
    end = market.clock.now() + timedelta(hours=1)
    token = str((await mint(market, OPERATOR, kind="operator", expires_at=end)).token)
    market.clock.advance(timedelta(minutes=59))
    assert await own_tokens.introspect(token) is not None
    market.clock.advance(timedelta(minutes=2))
    assert await own_tokens.introspect(token) is None


async def test_a_revoked_token_stands_for_nobody_and_its_sibling_still_does(
    market: "Market", own_tokens: OwnTokens
) -> None:
    """Two live tokens of one party at a time: that is how they are rotated."""
    spot = await market.spot()
    old, new = [await mint(market, OPERATOR, kind="spot", party_id=spot) for _ in range(2)]
    async with market.ctx.db.transaction() as tx:
        await revoke_credential(tx, market.ctx, OPERATOR, old.credential_id)
    assert await own_tokens.introspect(str(old.token)) is None
    assert await own_tokens.introspect(str(new.token)) is not None


@pytest.mark.parametrize("token", ["", "shm_guess", "shs_orders ", "秘密"])
async def test_an_unknown_token_stands_for_nobody(token: str, own_tokens: OwnTokens) -> None:
    assert await own_tokens.introspect(token) is None


async def test_services_have_their_own_tokens(own_tokens: OwnTokens) -> None:
    for name in ("orders", "settlement"):
        found = await own_tokens.introspect(f"shs_{name}")
        assert found is not None
        assert (found.kind, found.credential_id) == ("service", f"service:{name}")
        assert (found.party_id, found.scopes) == (None, SERVICE_SCOPES[name])


async def test_only_a_hash_is_stored(market: "Market") -> None:
    view = await mint(market, OPERATOR, kind="operator")
    token = str(view.token)
    assert token.startswith("shm_")
    (row,) = await market.rows(CREDENTIALS)
    assert row["token_hash"] == hash_token(token)
    assert not any(token in str(value) for value in row.values())


async def test_the_first_operator_comes_by_command(
    market: "Market", own_tokens: OwnTokens
) -> None:
    token = await mint_operator_token(market.ctx.db.url, "the first")
    found = await own_tokens.introspect(token)
    assert found is not None
    assert (found.kind, found.party_id, found.scopes) == ("operator", None, SCOPES["operator"])
    assert found.person == "the first"


async def test_a_command_gives_a_person_who_lost_all_tokens_another(
    market: "Market", own_tokens: OwnTokens
) -> None:
    url = market.ctx.db.url
    tokens = [await mint_operator_token(url, label, "张三") for label in ("laptop", "phone")]
    found = [await own_tokens.introspect(token) for token in tokens]
    assert [who and who.person for who in found] == ["张三", "张三"]
    assert len({who and who.credential_id for who in found}) == 2
