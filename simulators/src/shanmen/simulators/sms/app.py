"""The SMS gateway as an ASGI application: it takes signed messages and keeps them to be read.

`POST /sms/send {to, template, params, request_id}` with the headers `X-Timestamp` (Unix seconds)
and `X-Signature`: the hexadecimal HMAC-SHA256 of `<timestamp>.<body>` under the shared secret.
"""

import hashlib
import hmac
import json
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shanmen.simulators.fields import BadInput, Fields
from shanmen.simulators.store import Store

logger = logging.getLogger(__name__)

_TOLERANCE_S: Final = 300
_MAX_BODY_BYTES: Final = 64 * 1024
_MAX_ROWS: Final = 1_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS messages (
    message_id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    template TEXT NOT NULL,
    params TEXT NOT NULL,
    received_s INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class Settings:
    """Where messages are kept, and the secret that senders sign with."""

    data_dir: Path
    secret: str = field(repr=False)
    clock_s: Callable[[], float] = time.time


def create_app(settings: Settings) -> Starlette:
    """The application; its lifespan opens and closes the books."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        store = Store(settings.data_dir / "sms.sqlite3", _SCHEMA)
        app.state.settings, app.state.store = settings, store
        try:
            yield
        finally:
            store.close()

    return Starlette(
        routes=[
            Route("/sms/send", _send, methods=["POST"]),
            Route("/admin/messages", _messages, methods=["GET"]),
            Route("/admin/health", _health, methods=["GET"]),
        ],
        lifespan=lifespan,
        max_body_size=_MAX_BODY_BYTES,
    )


async def _send(request: Request) -> Response:
    """Take one message; the same `request_id` again is the same message."""
    settings: Settings = request.app.state.settings
    store: Store = request.app.state.store
    body = await request.body()
    now_s = int(settings.clock_s())
    if not _is_signed(request, body, settings.secret, now_s):
        return JSONResponse({"code": "bad_signature"}, status_code=401)
    try:
        values = _read_message(body)
    except BadInput as bad:
        return JSONResponse({"code": "bad_request", "error": str(bad)}, status_code=400)
    stored = await store.run(lambda connection: _keep(connection, values, now_s))
    if tuple(stored)[1:5] != values:
        return JSONResponse({"code": "request_id_reused"}, status_code=409)
    logger.info("message %s to %s by template %s", values[0], _masked(values[1]), values[2])
    return JSONResponse({"code": "ok", "message_id": stored["message_id"]})


def _is_signed(request: Request, body: bytes, secret: str, now_s: int) -> bool:
    timestamp = request.headers.get("x-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    if abs(now_s - int(timestamp)) > _TOLERANCE_S:
        return False
    content = timestamp.encode() + b"." + body
    right = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    given = request.headers.get("x-signature", "")
    return hmac.compare_digest(right.encode(), given.encode())


def _read_message(body: bytes) -> tuple[str, str, str, str]:
    try:
        given = json.loads(body)
    except ValueError:
        raise BadInput("the body must be JSON") from None
    fields = Fields(given, "a message")
    request_id, recipient = fields.text("request_id"), fields.text("to")
    template, params = fields.text("template"), fields.mapping("params")
    fields.finish()
    written = json.dumps(dict(params), sort_keys=True, ensure_ascii=False)
    return request_id, recipient, template, written


def _keep(
    connection: sqlite3.Connection, values: tuple[str, str, str, str], now_s: int
) -> sqlite3.Row:
    connection.execute(
        "INSERT INTO messages (request_id, recipient, template, params, received_s)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*values, now_s),
    )
    row: sqlite3.Row = connection.execute(
        "SELECT * FROM messages WHERE request_id = ?", (values[0],)
    ).fetchone()
    return row


async def _messages(request: Request) -> Response:
    store: Store = request.app.state.store
    recipient = request.query_params.get("to")
    rows = await store.run(
        lambda connection: connection.execute(
            "SELECT * FROM messages WHERE ?1 IS NULL OR recipient = ?1"
            " ORDER BY message_id DESC LIMIT ?2",
            (recipient, _MAX_ROWS),
        ).fetchall()
    )
    messages = [
        {
            "message_id": row["message_id"],
            "request_id": row["request_id"],
            "to": row["recipient"],
            "template": row["template"],
            "params": json.loads(row["params"]),
            "received_s": row["received_s"],
        }
        for row in reversed(rows)
    ]
    return JSONResponse({"messages": messages})


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _masked(phone: str) -> str:
    return f"{phone[:3]}****{phone[-2:]}" if len(phone) > 7 else "****"
