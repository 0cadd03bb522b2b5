"""The HTTP face of a service."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse

from shanmen.common.http.middleware import BoundedBody, Traced
from shanmen.common.http.problem import Problem, install_problem_handlers
from shanmen.common.service import Running, Service


def create_app(service: Service[Any, Any], running: Running[Any] | None = None) -> FastAPI:
    """The service's application; without `running` it only describes itself (documents)."""
    app = FastAPI(
        title=service.title,
        version="1",
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `Traced` does it
    )
    install_problem_handlers(app)
    app.add_middleware(Traced)
    app.add_middleware(BoundedBody)
    app.include_router(service.router)
    app.add_api_route("/health", _health, include_in_schema=False)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign] # FastAPI's way to extend it
    if running is not None:
        app.state.context = running.context
    return app


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: bearer tokens, and problem details for every refusal."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = schema.setdefault("components", {})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schemas = components.setdefault("schemas", {})
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        content = {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
        for operations in schema.get("paths", {}).values():
            for operation in operations.values():
                operation.setdefault("security", [{"token": []}])
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = {"description": "Refused.", "content": content}
        app.openapi_schema = schema
    return app.openapi_schema


async def _health(request: Request) -> JSONResponse:
    async with request.app.state.context.db.transaction() as tx:
        await tx.execute(text("SELECT 1"))
    return JSONResponse({"status": "ok"})
