"""Files behind links that are good for a short while: how the channels hand out their bills."""

import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shanmen.simulators.books import Books
from shanmen.simulators.channel import Channel

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS bills (
    token TEXT PRIMARY KEY,
    content BLOB NOT NULL,
    expires_ms INTEGER NOT NULL
);
"""


def offer(books: Books, content: bytes, *, wall_ms: int, valid_ms: int) -> str:
    """Keep a file for downloading; its token. Files whose links are over are removed."""
    books.write("DELETE FROM bills WHERE expires_ms < ?", wall_ms)
    token = secrets.token_urlsafe(24)
    books.insert("bills", token=token, content=content, expires_ms=wall_ms + valid_ms)
    return token


def route(folder: str, media_type: str) -> Route:
    """Serves `<folder>/{token}`: the file behind a token, while its link is valid, else 404."""

    async def serve(request: Request) -> Response:
        channel: Channel = request.app.state.channel
        token, wall_ms = request.path_params["token"], channel.wall_ms()
        content = await channel.within(lambda books: _find(books, token, wall_ms))
        if content is None:
            return Response("the link is wrong or over; ask for a new one", status_code=404)
        return Response(content, media_type=media_type)

    return Route(f"{folder}/{{token}}", serve, methods=["GET"])


def _find(books: Books, token: str, wall_ms: int) -> bytes | None:
    row = books.row(
        "SELECT content FROM bills WHERE token = ? AND expires_ms >= ?", token, wall_ms
    )
    return None if row is None else bytes(row["content"])
