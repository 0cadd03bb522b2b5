"""A process that could verify no ticket does not start."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shanmen.verification.settings import VerificationSettings

KEY = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
REST: dict[str, Any] = {"database_url": "postgresql+asyncpg://nowhere/x", "service_token": "shm_x"}


@pytest.mark.parametrize("given", [{"2026a": KEY}, json.dumps({"2026a": KEY})])
def test_keys_come_as_an_object_or_as_its_json(given: Any) -> None:
    settings = VerificationSettings(**REST, ticket_public_keys=given)
    assert settings.ticket_public_keys == {"2026a": KEY}


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKET_PUBLIC_KEYS", json.dumps({"2026a": KEY}))
    settings = VerificationSettings(**REST)
    assert settings.ticket_public_keys == {"2026a": KEY}


@pytest.mark.parametrize("given", ["", "{", "[]", "{}", '{"2026a": "AAAA"}', '{"2026a": 1}'])
def test_anything_else_is_a_bad_field(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKET_PUBLIC_KEYS", given)
    with pytest.raises(ValidationError, match="ticket_public_keys"):
        VerificationSettings(**REST)
