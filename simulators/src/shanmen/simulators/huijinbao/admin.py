"""`/admin` of the Huijinbao simulator: what all channels have, and its own."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shanmen.simulators import admin
from shanmen.simulators.books import Books
from shanmen.simulators.fault_orders import Catalogue
from shanmen.simulators.huijinbao import enrolment, views, wealth
from shanmen.simulators.huijinbao.channel import Channel
from shanmen.simulators.huijinbao.faults import CALL_KINDS
from shanmen.simulators.huijinbao.methods.table import METHODS

CATALOGUE: Final = Catalogue(CALL_KINDS, METHODS)


def routes() -> list[Route]:
    """All routes of the admin API."""
    put_agreement = admin.putter(enrolment.put_agreement, "agreements", "agreement_no")
    put_merchant = admin.putter(enrolment.put_merchant, "merchants", "merchant_id")
    put_product = admin.putter(enrolment.put_product, "products", "product_code")
    return admin.routes_of(
        [
            *admin.common_rows(CATALOGUE),
            ("POST", "/accounts", admin.putter(enrolment.put_account, "accounts", "account_no")),
            ("POST", "/agreements", put_agreement),
            ("POST", "/merchants", put_merchant),
            ("GET", "/merchants/{key}", admin.reader("merchants", "merchant_id")),
            ("POST", "/products", put_product),
            ("GET", "/products/{key}", admin.finder(views.product)),
            ("PUT", "/products/{key}/yields", _put_yield),
            ("GET", "/positions", _positions),
            ("GET", "/positions/{position_id:int}/yields", _position_yields),
            ("GET", "/orders", _orders),
            ("GET", "/orders/{key}", admin.finder(views.order)),
            ("GET", "/public-keys", _public_keys),
            ("POST", "/public-keys", _rotate),
        ]
    )


def _channel(request: Request) -> Channel:
    channel: Channel = request.app.state.channel
    return channel


async def _put_yield(request: Request) -> Response:
    key, given = request.path_params["key"], await admin.body(request)

    def put(books: Books) -> dict[str, object] | None:
        if wealth.find_product(books, key) is not None:
            enrolment.put_yield(books, key, given)
        return views.product(books, key)

    found = await _channel(request).within(put)
    if found is None:
        return admin.refusal(404, f"there is no product {key}")
    return JSONResponse(found)


async def _positions(request: Request) -> Response:
    after, limit = admin.page(request)
    found = await _channel(request).within(lambda books: views.positions(books, after, limit))
    return JSONResponse({"positions": found})


async def _position_yields(request: Request) -> Response:
    position_id = request.path_params["position_id"]
    found = await _channel(request).within(lambda books: views.position_yields(books, position_id))
    return JSONResponse({"yields": found})


async def _orders(request: Request) -> Response:
    after, limit = admin.page(request)
    biz_type, status = (request.query_params.get(name) for name in ("biz_type", "status"))
    found = await _channel(request).within(
        lambda books: views.orders(books, after, limit, biz_type, status)
    )
    return JSONResponse({"orders": found})


async def _public_keys(request: Request) -> Response:
    keys = _channel(request).keys
    return JSONResponse({"current": keys.current_id, "keys": keys.public_pems()})


async def _rotate(request: Request) -> Response:
    """Sign with a new key from now on. Making one takes long, so it is done elsewhere."""
    await asyncio.to_thread(_channel(request).keys.rotate)
    return await _public_keys(request)
