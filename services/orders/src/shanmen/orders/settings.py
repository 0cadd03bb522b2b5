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
    webhook_allow_private: bool = Field(
        default=False,
        description="let webhooks go to private and loopback addresses (local installations)",
    )
    webhook_allow_http: bool = Field(
        default=False, description="let webhooks go without TLS (local installations)"
    )
    webhook_ports: frozenset[int] = Field(
        default=frozenset({443, 8443}), description="ports that webhooks may go to"
    )
    webhook_allow_high_ports: bool = Field(
        default=False, description="let webhooks go to every port from 1024 on, too"
    )
    webhook_timeout_s: float = Field(
        default=10.0, gt=0, le=30, description="how long an endpoint may take to answer"
    )
    webhook_concurrency: int = Field(
        default=4, ge=1, le=50, description="deliveries under way at once to one endpoint"
    )
    webhook_give_up_after_s: int = Field(
        default=259_200, ge=86_400, description="how long a delivery is tried again"
    )
    webhook_poll_s: float = Field(
        default=0.5, gt=0, description="how often due deliveries are looked for"
    )
    webhook_keep_days: int = Field(
        default=30, ge=1, description="how long notices and finished deliveries can be looked up"
    )
