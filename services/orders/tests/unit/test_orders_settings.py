"""A process that could sign no ticket does not start, and says which variable is wrong."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from shanmen.orders.settings import OrdersSettings

SEED = base64.b64encode(bytes(range(32))).decode()
REST: dict[str, Any] = {
    "database_url": "postgresql+asyncpg://nowhere/x",
    "service_token": "shs_x",
    "ticket_key_id": "2026a",
}


def test_a_good_key() -> None:
    settings = OrdersSettings(**REST, ticket_signing_key=SEED)
    assert settings.ticket_signing_key.get_secret_value() == SEED


@pytest.mark.parametrize("key", ["", "AAAA", SEED[:-4], SEED + "AAAA", "!" * 44])
def test_a_bad_key_is_named_and_not_shown(key: str) -> None:
    with pytest.raises(ValidationError, match="ticket_signing_key") as refused:
        OrdersSettings(**REST, ticket_signing_key=key)
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("key_id", ["", "a.b", "x" * 33, "钥匙"])
def test_a_key_id_that_would_break_the_payload(key_id: str) -> None:
    with pytest.raises(ValidationError, match="ticket_key_id"):
        OrdersSettings(**REST | {"ticket_key_id": key_id}, ticket_signing_key=SEED)
