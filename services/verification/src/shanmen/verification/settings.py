"""What verification is told from outside."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from shanmen.common.settings import ClientSettings
from shanmen.verification.qr import load_ticket_keys

EXPIRY_SWEEP_S: Final = 5.0


def _from_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _usable(keys: Mapping[str, str]) -> Mapping[str, str]:
    load_ticket_keys(keys)
    return keys


class VerificationSettings(ClientSettings):
    """Verification's own variables, and those that every service has."""

    # NoDecode: text that is not JSON is then a bad field like any other.
    ticket_public_keys: Annotated[
        dict[str, str], NoDecode, BeforeValidator(_from_json), AfterValidator(_usable)
    ] = Field(
        min_length=1,
        description="JSON object: key id → base64 of the raw 32-byte Ed25519 public key that "
        "verifies ticket codes. Keep an old key as long as its tickets are valid.",
    )
    expiry_sweep_s: float = Field(
        default=EXPIRY_SWEEP_S,
        gt=0,
        description="seconds between two looks for unused passes whose time is over",
    )
