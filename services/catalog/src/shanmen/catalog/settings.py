"""Catalog's settings."""

from pydantic import Field

from shanmen.common.settings import ServiceSettings


class CatalogSettings(ServiceSettings):
    """What catalog is told from outside."""

    service_token_hashes: dict[str, str] = Field(
        default={},
        description="SHA-256 of each service's own token, by service name: "
        '{"orders": "…", "settlement": "…", "verification": "…", "gateway-adapters": "…"}',
    )
    reservation_confirm_s: int = Field(
        default=300,
        ge=1,
        description="after this long, orders is asked about stock held for an unheard-of order",
    )
