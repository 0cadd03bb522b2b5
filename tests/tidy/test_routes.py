"""Every route knows who calls it, can be repeated safely, and lies where the edge looks for it."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shanmen.catalog.domain import SCOPES, SERVICE_SCOPES
from shanmen.common.app import create_app
from shanmen.common.service import Service
from shanmen.platform.edge import owner_of
from shanmen.platform.services import SERVICES

WITHOUT_A_TOKEN: Final = {
    "/notify/{channel}",  # authenticated by the channel's signature
}
OF_EVERY_SERVICE: Final = {"/health", "/openapi.json"}
"""Public, and about nobody's data."""

REPEATABLE_WITHOUT_A_KEY: Final = {
    "/internal/introspect",  # changes nothing
    "/internal/reservations",  # repeatable by its order numbers
    "/notify/{channel}",  # repeatable by the notification's own number
}


def test_every_route_asks_for_a_scope() -> None:
    open_to_all = {route.path for _, route in _routes() if not [*_scopes(route)]}
    assert open_to_all == WITHOUT_A_TOKEN, "Give the route a Depends(requires(…)) or changes(…)"


def test_no_service_adds_routes_of_its_own_beside_its_router() -> None:
    for service in SERVICES:
        paths = {getattr(route, "path", "") for route in create_app(service).routes}
        assert paths - {""} == OF_EVERY_SERVICE


def test_somebody_can_have_every_scope_that_is_asked_for() -> None:
    known = frozenset[str]().union(*SCOPES.values(), *SERVICE_SCOPES.values())
    unknown = {
        scope: route.path
        for _, route in _routes()
        for scope in _scopes(route)
        if scope not in known
    }
    assert not unknown, f"Nobody can be given these; add them to catalog's domain: {unknown}"


def test_every_post_takes_an_idempotency_key() -> None:
    without = {
        route.path
        for _, route in _routes()
        if "POST" in (route.methods or ()) and "idempotency-key" not in _headers(route.dependant)
    }
    assert without == REPEATABLE_WITHOUT_A_KEY, "Let a POST depend on changes(…)"


def test_the_edge_finds_every_public_route_and_no_internal_one() -> None:
    for service, route in _routes():
        internal = route.path.startswith("/internal/")
        assert owner_of(route.path) == (None if internal else service.name), (
            f"{route.path}: correct `prefixes` in {service.name}'s main.py"
        )
        assert route.include_in_schema is not internal, f"{route.path}: describe public routes"


def test_no_two_services_claim_the_same_path() -> None:
    claims = [(prefix, service.name) for service in SERVICES for prefix in service.prefixes]
    doubly = [
        (first, second)
        for first in claims
        for second in claims
        if first is not second and f"{second[0]}/".startswith(f"{first[0]}/")
    ]
    assert not doubly


def _routes() -> Iterator[tuple[Service[Any, Any], APIRoute]]:
    for service in SERVICES:
        for route in service.router.routes:
            assert isinstance(route, APIRoute), f"{service.name}: {route} hides its routes"
            yield service, route


def _scopes(route: APIRoute) -> Iterator[str]:
    for dependant in _all(route.dependant):
        yield from getattr(dependant.call, "scopes", ())


def _headers(dependant: Dependant) -> set[str]:
    return {field.alias for inner in _all(dependant) for field in inner.header_params}


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _all(inner)
