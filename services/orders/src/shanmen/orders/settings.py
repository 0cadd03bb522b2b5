"""Orders' settings."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from shanmen.common.settings import ClientSettings
from shanmen.orders.qr import TicketSigner


def _usable(seed: SecretStr) -> SecretStr:
    TicketSigner.from_seed("", seed.get_secret_value())
    return seed


class OrdersSettings(ClientSettings):
    """What orders is told from outside."""

    ticket_key_id: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,32}$", description="names the key that signs new tickets"
    )
    ticket_signing_key: Annotated[SecretStr, AfterValidator(_usable)] = Field(
        description="base64 of the 32-byte Ed25519 seed that signs new tickets"
    )
    deadline_sweep_s: float = Field(
        default=5.0, gt=0, description="how often unpaid orders past their deadline are closed"
    )
