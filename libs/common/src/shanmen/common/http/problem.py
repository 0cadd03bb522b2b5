"""RFC 9457 problem details for every refusal, with a stable `code`; never a stack trace."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from shanmen.common.db import DATABASE_ERRORS
from shanmen.common.errors import Invalid, Refusal, Unauthenticated, Unavailable
from shanmen.common.inbox import is_outage

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"


class FieldProblem(BaseModel):
    """One field that was not acceptable."""

    field: str = Field(description="Path of the field in the request, such as `body.quantity`.")
    detail: str


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:shanmen:problem:sold_out"])
    title: str
    status: int
    code: str = Field(description="Stable; decide on this.")
    detail: str
    errors: list[FieldProblem] = []


_UNSTORABLE_TEXT: Final = "22021"
_CODES: Final = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


def problem_response(
    status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
) -> Response:
    """A problem details answer."""
    content = {
        "type": f"urn:shanmen:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": detail,
        **members,
    }
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def install_problem_handlers(app: FastAPI) -> None:
    """Turn every way in which a request fails into problem details."""
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(RequestValidationError, _bad_fields)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(PoolTimeoutError, _database)
    app.add_exception_handler(OSError, _database)  # refused and timed out connections come bare
    app.add_exception_handler(Exception, _unexpected)


def refusal_response(error: Refusal) -> Response:
    """The answer to a refused request."""
    headers: dict[str, str] = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    members = json.loads(json.dumps(error.members, default=str))
    return problem_response(error.status, error.code, error.detail, headers=headers, **members)


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - registered for this type
    return refusal_response(error)


async def _bad_fields(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    errors = [_field_problem(problem) for problem in error.errors()]
    fields = ", ".join(problem["field"] for problem in errors)
    return problem_response(422, "invalid", f"Not acceptable: {fields}.", errors=errors)


def _field_problem(problem: Mapping[str, Any]) -> dict[str, str]:
    """One field and what is wrong with it. The input stays out: it may be an identity number."""
    if problem["type"] == "json_invalid":
        return {"field": "body", "detail": f"not JSON (character {problem['loc'][-1]})"}
    if problem["loc"] == ("body",) and problem["type"] == "model_attributes_type":
        return {"field": "body", "detail": "send a JSON object, as application/json"}
    detail = str(problem["msg"]).removeprefix("Value error, ")
    return {"field": ".".join(map(str, problem["loc"])), "detail": detail}


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    code = _CODES.get(error.status_code, "bad_request")
    headers = dict(error.headers) if error.headers else None
    return problem_response(error.status_code, code, str(error.detail), headers=headers)


async def _database(request: Request, error: Exception) -> Response:
    assert isinstance(error, DATABASE_ERRORS)  # noqa: S101 - registered for these
    if is_outage(error) or _is_transient(error):
        return refusal_response(Unavailable("The service is overloaded or restarting; try again."))
    if _sqlstate(error) == _UNSTORABLE_TEXT:
        return refusal_response(Invalid("A text holds a NUL character, which cannot be stored."))
    return await _unexpected(request, error)


def _is_transient(error: DBAPIError | PoolTimeoutError | OSError) -> bool:
    """Deadlocks, serialization failures, lock time-outs, cancelled statements, stale plans."""
    return _sqlstate(error) in {"40001", "40P01", "55P03", "57014", "0A000"}


def _sqlstate(error: DBAPIError | PoolTimeoutError | OSError) -> str:
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error(
        "request failed",
        exc_info=error,
        extra={"method": request.method, "path": request.url.path},
    )
    return problem_response(500, "internal_error", "Something went wrong on our side; try again.")
