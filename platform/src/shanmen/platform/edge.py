"""One base URL for everybody: requests go to the service that owns their path.

In one process the edge calls the services' applications; in front of separate processes it is a
small reverse proxy. Both read the same table, and know no path that no service has published:
`/internal` is not reachable from outside.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from shanmen.common.app import create_app
from shanmen.common.http.middleware import BoundedBody
from shanmen.common.http.problem import problem_response
from shanmen.common.service import Service
from shanmen.platform.services import SERVICES

_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "host"}
)
_PROXY_TIMEOUT: Final = httpx.Timeout(150, connect=2)


def owner_of(path: str) -> str | None:
    """The service that owns a path, or None."""
    for service in SERVICES:
        if any(path == prefix or path.startswith(f"{prefix}/") for prefix in service.prefixes):
            return service.name
    return None


class Edge:
    """Routes by path to one application per service, and answers for the whole by itself."""

    def __init__(self, backends: Mapping[str, ASGIApp]) -> None:
        self._backends = backends
        self._openapi = merged_openapi(SERVICES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        owner = owner_of(scope["path"])
        if owner is not None:
            await self._backends[owner](scope, receive, send)
        else:
            await self._own(scope["path"])(scope, receive, send)

    def _own(self, path: str) -> Response:
        if path == "/openapi.json":
            return JSONResponse(self._openapi)
        if path in ("/", "/health"):
            return JSONResponse({"name": "Shanmen 山门", "openapi": "/openapi.json"})
        return problem_response(404, "not_found", f"There is nothing at {path}.")


def merged_openapi(services: Iterable[Service[Any, Any]]) -> dict[str, Any]:
    """One OpenAPI document out of all services' own."""
    merged: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Shanmen 山门", "version": "1"},
        "paths": {},
        "components": {"schemas": {}, "securitySchemes": {}},
    }
    for service in services:
        document = openapi_of(service)
        for path, operations in document["paths"].items():
            tagged = {
                verb: {**entry, "tags": [service.name]} for verb, entry in operations.items()
            }
            merged["paths"][path] = tagged
        for kind, components in document["components"].items():
            merged["components"].setdefault(kind, {}).update(components)
    return merged


def openapi_of(service: Service[Any, Any]) -> dict[str, Any]:
    """The OpenAPI document of one service."""
    app: FastAPI = create_app(service)
    return app.openapi()


class Proxy:
    """Passes requests on to one service, once: only the caller knows what may be repeated."""

    def __init__(self, client: httpx.AsyncClient, base_url: str) -> None:
        self._client = client
        self._base_url = base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        url = f"{self._base_url}{request.url.path}"
        try:
            answer = await self._client.request(
                request.method,
                f"{url}?{request.url.query}" if request.url.query else url,
                content=await request.body(),
                headers=_passed_on(request.headers.items()),
                timeout=_PROXY_TIMEOUT,
            )
            response = Response(answer.content, answer.status_code)
            response.raw_headers = [
                (name.encode(), value.encode())
                for name, value in _passed_on(answer.headers.items())
            ]
        except httpx.HTTPError:
            response = problem_response(
                503,
                "unavailable",
                "The service does not answer; whether it acted is unknown. Repeat with the same "
                "Idempotency-Key.",
                headers={"Retry-After": "1"},
            )
        await response(scope, receive, send)


def proxying_edge(client: httpx.AsyncClient, addresses: Mapping[str, str]) -> ASGIApp:
    """An edge in front of services that run as processes of their own, by their base URLs."""
    return BoundedBody(Edge({name: Proxy(client, url) for name, url in addresses.items()}))


def _passed_on(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in _HOP_BY_HOP and name.lower() != "content-encoding"
    ]
