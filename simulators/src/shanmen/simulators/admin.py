"""`/admin` of every channel: accounts and their journal, notifications, calls, faults, clock.

JSON, integer fen. A channel adds routes of its own to `routes_of`.
"""

import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from json import JSONDecodeError
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from shanmen.simulators import fault_orders, views
from shanmen.simulators.books import Books
from shanmen.simulators.channel import Channel
from shanmen.simulators.fields import BadInput, Fields
from shanmen.simulators.moments import china_date, utc_time
from shanmen.simulators.postbox import described

Endpoint = Callable[[Request], Awaitable[Response]]

_MAX_ROWS: Final = 1_000
_WITHOUT_STATUS: Final = frozenset({"accounts", "apps", "merchants"})


Row = tuple[str, str, Endpoint]
"""One route: verb, path under `/admin`, endpoint."""


def routes_of(rows: Iterable[Row]) -> list[Route]:
    """The routes, each behind the token where one is set."""
    return [
        Route(f"/admin{path}", _guarded(endpoint), methods=[verb]) for verb, path, endpoint in rows
    ]


def common_rows(catalogue: fault_orders.Catalogue) -> list[Row]:
    """What `/admin` has at every channel; `catalogue` is what faults can be ordered."""
    return [
        ("GET", "/accounts", lister("accounts")),
        ("GET", "/accounts/{key}", reader("accounts", "account_no")),
        ("GET", "/accounts/{key}/entries", _entries),
        ("GET", "/accounts/{key}/movements", _movements),
        ("POST", "/accounts/{key}/top-up", _top_up),
        ("PUT", "/accounts/{key}/balance", _set_balance),
        ("GET", "/statements", _statements),
        ("GET", "/agreements", lister("agreements")),
        ("GET", "/agreements/{key}", reader("agreements", "agreement_no")),
        ("GET", "/notifications", _notifications),
        ("GET", "/calls", _calls),
        ("GET", "/faults", _list_faults),
        ("POST", "/faults", _fault_orderer(catalogue)),
        ("DELETE", "/faults", _call_off),
        ("DELETE", "/faults/{fault_id:int}", _call_off),
        ("GET", "/clock", _clock),
        ("POST", "/clock", _advance),
        ("GET", "/health", _health),
        ("GET", "/public-key", _public_key),
    ]


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Ask for the token, where one is set, and turn bad input into an answer that helps."""

    async def guarded(request: Request) -> Response:
        token = channel_of(request).settings.admin_token
        given = request.headers.get("authorization", "")
        if token is not None and not secrets.compare_digest(
            given.encode(), f"Bearer {token}".encode()
        ):
            return refusal(401, "send the admin token: Authorization: Bearer <token>")
        try:
            return await endpoint(request)
        except BadInput as bad:
            return refusal(400, str(bad))

    return guarded


def channel_of(request: Request) -> Channel:
    """The channel behind a request."""
    channel: Channel = request.app.state.channel
    return channel


def refusal(status: int, error: str) -> Response:
    """An answer that says what was wrong."""
    return JSONResponse({"error": error}, status_code=status)


async def body(request: Request) -> object:
    """The JSON that was sent. Raises BadInput."""
    try:
        given: object = await request.json()
    except (JSONDecodeError, UnicodeDecodeError):
        raise BadInput("the body must be JSON") from None
    return given


def _number(request: Request, name: str, default: int, maximum: int) -> int:
    given = request.query_params.get(name, str(default))
    if not given.isascii() or not given.isdigit() or int(given) > maximum:
        raise BadInput(f"{name} must be a whole number from 0 to {maximum}")
    return int(given)


def page(request: Request) -> tuple[int, int]:
    """`after` and `limit` of a list. Raises BadInput."""
    return _number(request, "after", 0, 2**62), _number(request, "limit", _MAX_ROWS, _MAX_ROWS)


def _read(books: Books, table: str, key_column: str, key: str) -> dict[str, object] | None:
    row = books.row(f"SELECT * FROM {table} WHERE {key_column} = ?", key)
    return None if row is None else views.shown(row)


def reader(table: str, key_column: str) -> Endpoint:
    """Shows one row of a table, by its key."""
    return finder(lambda books, key: _read(books, table, key_column, key))


def finder(find: Callable[[Books, str], dict[str, object] | None]) -> Endpoint:
    """Shows what `find` knows under the key in the path; 404 where that is nothing."""

    async def read_one(request: Request) -> Response:
        key = request.path_params["key"]
        found = await channel_of(request).within(lambda books: find(books, key))
        return (
            refusal(404, f"nothing here is called {key}") if found is None else JSONResponse(found)
        )

    return read_one


def putter(put: Callable[[Books, object], str], table: str, key_column: str) -> Endpoint:
    """Hands the body to `put`, and shows the row whose key it returns."""

    async def put_one(request: Request) -> Response:
        given = await body(request)
        return JSONResponse(
            await channel_of(request).within(
                lambda books: _read(books, table, key_column, put(books, given))
            )
        )

    return put_one


def lister(table: str) -> Endpoint:
    """Shows a table's rows by page; with `status` where it has one."""
    has_status = table not in _WITHOUT_STATUS

    async def list_all(request: Request) -> Response:
        after, limit = page(request)
        status = request.query_params.get("status") if has_status else None
        found = await channel_of(request).within(
            lambda books: views.listed(books, table, after, limit, status)
        )
        return JSONResponse({table: found})

    return list_all


async def _entries(request: Request) -> Response:
    after, limit = page(request)
    key = request.path_params["key"]
    found = await channel_of(request).within(
        lambda books: views.entries(books, key, after, limit) if books.account(key) else None
    )
    return (
        refusal(404, f"there is no account {key}")
        if found is None
        else JSONResponse({"entries": found})
    )


async def _movements(request: Request) -> Response:
    """An account's movements by business number, from behind the number `after`."""
    key, after = request.path_params["key"], request.query_params.get("after", "")
    limit = _number(request, "limit", _MAX_ROWS, _MAX_ROWS)
    found = await channel_of(request).within(
        lambda books: views.movements(books, key, after, limit) if books.account(key) else None
    )
    return (
        refusal(404, f"there is no account {key}")
        if found is None
        else JSONResponse({"movements": found})
    )


async def _statements(request: Request) -> Response:
    """Every account's balance and journal, from behind the account number `after`."""
    after = request.query_params.get("after", "")
    limit = _number(request, "limit", _MAX_ROWS, _MAX_ROWS)
    found = await channel_of(request).within(lambda books: views.statements(books, after, limit))
    return JSONResponse({"statements": found})


async def _top_up(request: Request) -> Response:
    """Add money; with a `reference`, once."""
    fields = Fields(await body(request), "a top-up")
    amount_fen = fields.integer("amount_fen", 1)
    reference = fields.optional_text("reference")
    fields.finish()
    return await _adjusted(request, "top_up", lambda _balance_fen: amount_fen, reference)


async def _set_balance(request: Request) -> Response:
    fields = Fields(await body(request), "a balance")
    target_fen = fields.integer("balance_fen", 0)
    fields.finish()
    return await _adjusted(
        request, "adjustment", lambda balance_fen: target_fen - balance_fen, None
    )


async def _adjusted(
    request: Request, kind: str, change: Callable[[int], int], reference: str | None
) -> Response:
    key = request.path_params["key"]

    def adjust(books: Books) -> dict[str, object] | None:
        account = books.account(key)
        if account is None:
            return None
        amount_fen = change(account["balance_fen"])
        is_repeat = reference is not None and books.row(
            "SELECT 1 FROM entries WHERE account_no = ? AND kind = ? AND channel_no = ?",
            key,
            kind,
            reference,
        )
        if amount_fen and not is_repeat:
            number = reference or books.next_number("00900")
            books.add_from_outside(
                kind=kind, reference=number, account_no=key, amount_fen=amount_fen
            )
        return _read(books, "accounts", "account_no", key)

    found = await channel_of(request).within(adjust)
    return refusal(404, f"there is no account {key}") if found is None else JSONResponse(found)


async def _notifications(request: Request) -> Response:
    after, limit = page(request)
    found = await channel_of(request).within(
        lambda books: books.rows(
            "SELECT * FROM notifications WHERE notification_id > ?"
            " ORDER BY notification_id LIMIT ?",
            after,
            limit,
        )
    )
    return JSONResponse({"notifications": [described(row) for row in found]})


async def _calls(request: Request) -> Response:
    return JSONResponse({"calls": list(channel_of(request).recent_calls)})


async def _list_faults(request: Request) -> Response:
    return JSONResponse({"faults": await channel_of(request).within(fault_orders.list_faults)})


def _fault_orderer(catalogue: fault_orders.Catalogue) -> Endpoint:
    async def order(request: Request) -> Response:
        given = await body(request)
        ordered = await channel_of(request).within(
            lambda books: fault_orders.order_fault(books, given, catalogue)
        )
        return JSONResponse(ordered, status_code=201)

    return order


async def _call_off(request: Request) -> Response:
    fault_id: int | None = request.path_params.get("fault_id")
    removed = await channel_of(request).within(
        lambda books: fault_orders.call_off(books, fault_id)
    )
    if fault_id is not None and not removed:
        return refusal(404, f"there is no fault {fault_id}")
    return JSONResponse({"removed": removed})


async def _clock(request: Request) -> Response:
    now_ms = channel_of(request).now_ms()
    return JSONResponse({"now": utc_time(now_ms), "china_date": china_date(now_ms).isoformat()})


async def _advance(request: Request) -> Response:
    """Move the channel's day ahead; the answer comes when everything due has happened."""
    fields = Fields(await body(request), "the clock")
    advance_s = fields.integer("advance_s", 0)
    fields.finish()
    await channel_of(request).advance(advance_s * 1000)
    return await _clock(request)


async def _health(request: Request) -> Response:
    """Healthy when the books answer and the background still works."""
    try:
        await channel_of(request).within(lambda books: books.row("SELECT 1"))
    except sqlite3.Error:
        return refusal(503, "the books do not answer")
    if request.app.state.background.done():
        return refusal(503, "the background work has ended; see the log")
    return JSONResponse({"status": "ok"})


async def _public_key(request: Request) -> Response:
    return PlainTextResponse(channel_of(request).public_pem())
