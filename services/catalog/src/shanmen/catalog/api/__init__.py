"""Catalog's routes."""

from typing import Final

from fastapi import APIRouter

from shanmen.catalog.api import internal, parties, products

PREFIXES: Final = (
    *("/v1/spots", "/v1/distributors", "/v1/accounts", "/v1/credentials"),
    *("/v1/products", "/v1/availability"),
)
"""The paths that catalog owns at the edge."""

# Routes rather than nested routers: whoever takes stock of a service's routes sees each of them.
router = APIRouter(
    routes=[*parties.router.routes, *products.router.routes, *internal.router.routes],
)
