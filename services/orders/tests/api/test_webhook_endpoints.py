"""Webhooks over HTTP: endpoints as their distributor keeps them, notices and deliveries."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import httpx
import pytest

from shanmen.common.app import create_app
from shanmen.orders.api import webhooks
from shanmen.orders.main import SERVICE
from shanmen.orders.tables import WEBHOOK_DELIVERIES, WEBHOOK_ENDPOINTS
from shanmen.orders.usecases.notifying import notify_distributor

if TYPE_CHECKING:
    from services.orders.tests.conftest import FakeCourier, Shop

Bearer = Callable[..., dict[str, str]]

URL: Final = "https://tickets.example.com/hook"
SCOPES: Final = ("webhooks:read", "webhooks:write")

ROUTES: Final = [
    # method, path, the scope it needs, a body that is right
    ("POST", "/v1/webhook-endpoints", "webhooks:write", {"url": URL}),
    ("GET", "/v1/webhook-endpoints", "webhooks:read", None),
    ("GET", "/v1/webhook-endpoints/{endpoint_id}", "webhooks:read", None),
    ("PATCH", "/v1/webhook-endpoints/{endpoint_id}", "webhooks:write", {"description": "new"}),
    ("DELETE", "/v1/webhook-endpoints/{endpoint_id}", "webhooks:write", None),
    ("POST", "/v1/webhook-endpoints/{endpoint_id}/rotate-secret", "webhooks:write", None),
    ("GET", "/v1/webhook-events", "webhooks:read", None),
    ("POST", "/v1/webhook-events/{event_id}/replay", "webhooks:write", {}),
    ("GET", "/v1/webhook-deliveries", "webhooks:read", None),
]
LISTS: Final = ("/v1/webhook-endpoints", "/v1/webhook-events", "/v1/webhook-deliveries")


class Desk:
    """Distributor `dst_1` with an order, and calls about its webhooks."""

    def __init__(self, shop: "Shop", order_no: str, headers: dict[str, str]) -> None:
        self.shop = shop
        self.order_no = order_no
        self.headers = headers

    async def call(
        self, method: str, path: str, body: Any = None, *, by: Any = None, **headers: str
    ) -> httpx.Response:
        """`If_Match=…` and `Idempotency_Key=…` become headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.shop.client.request(
            method, path, json=body, headers=(by or self.headers) | named
        )

    async def create(self, **given: Any) -> dict[str, Any]:
        """A new endpoint, which must be granted."""
        answer = await self.call("POST", "/v1/webhook-endpoints", {"url": URL, **given})
        assert answer.status_code == 201, answer.text
        return cast("dict[str, Any]", answer.json())

    async def notify(self, event_type: str = "order.issued") -> None:
        """A notice about the order."""
        async with self.shop.ctx.db.transaction() as tx:
            await notify_distributor(
                *(tx, self.shop.ctx),
                distributor_id="dst_1",
                order_no=self.order_no,
                event_type=event_type,
                data={"tickets": 2},
            )

    async def items(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """The first page of a list."""
        answer = await self.shop.get(path, by=self.headers, **params)
        assert answer.status_code == 200, answer.text
        return cast("list[dict[str, Any]]", answer.json()["items"])


@pytest.fixture
async def desk(shop: "Shop", bearer: Bearer) -> Desk:
    """A desk without endpoints."""
    order_no = (await shop.place())["order_no"]
    return Desk(shop, order_no, bearer("distributor", "dst_1", scopes=SCOPES))


@pytest.fixture
def courier(shop: "Shop") -> "FakeCourier":
    """The courier of the shop."""
    return cast("FakeCourier", shop.ctx.courier)


def test_the_table_names_every_route() -> None:
    routes = {
        (method, getattr(route, "path", ""))
        for route in webhooks.router.routes
        for method in getattr(route, "methods", ())
    }
    assert routes == {(method, path) for method, path, *_ in ROUTES}
    assert all(path.startswith(SERVICE.prefixes) for _, path, *_ in ROUTES)
    assert {path for _, path, *_ in ROUTES} <= set(create_app(SERVICE).openapi()["paths"])


async def test_an_endpoint_is_made_and_its_secret_shown_once(desk: Desk) -> None:
    made = await desk.create(types=["order.issued"], description="till 1")
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert (made["url"], made["types"], made["enabled"]) == (URL, ["order.issued"], True)
    path = f"/v1/webhook-endpoints/{made['endpoint_id']}"
    shown = await desk.call("GET", path)
    assert (shown.json(), shown.headers["ETag"]) == (made, '"1"')
    assert await desk.items("/v1/webhook-endpoints") == [made]
    (row,) = await desk.shop.rows(WEBHOOK_ENDPOINTS)
    assert row["secret"] == secret


async def test_the_same_key_makes_one_endpoint(desk: Desk) -> None:
    answers = [
        await desk.call("POST", "/v1/webhook-endpoints", {"url": URL}, Idempotency_Key="k")
        for _ in range(2)
    ]
    assert answers[0].text == answers[1].text
    assert len(await desk.items("/v1/webhook-endpoints")) == 1


async def test_an_unsafe_url_is_refused_when_it_is_given(
    desk: Desk, courier: "FakeCourier"
) -> None:
    unsafe = "https://inside.example.com/"
    courier.unsafe.add(unsafe)
    made = await desk.create()
    path = f"/v1/webhook-endpoints/{made['endpoint_id']}"
    for answer in (
        await desk.call("POST", "/v1/webhook-endpoints", {"url": unsafe}),
        await desk.call("PATCH", path, {"url": unsafe}, If_Match='"1"'),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "unsafe_url")
        assert answer.json()["errors"][0]["field"] == "body.url"
    (row,) = await desk.shop.rows(WEBHOOK_ENDPOINTS)
    assert row["url"] == URL


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": URL, "types": ["order.unheard_of"]},
        {"url": URL, "secret": "whsec_mine"},
        {"url": "x" * 2049},
        {"url": URL, "description": "x" * 201},
    ],
)
async def test_bad_fields_are_named(desk: Desk, body: dict[str, Any]) -> None:
    answer = await desk.call("POST", "/v1/webhook-endpoints", body)
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 1)


async def test_a_distributor_has_at_most_ten(desk: Desk) -> None:
    made = [await desk.create() for _ in range(10)]
    refused = await desk.call("POST", "/v1/webhook-endpoints", {"url": URL})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_endpoints")
    gone = await desk.call("DELETE", f"/v1/webhook-endpoints/{made[0]['endpoint_id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    await desk.create()
    assert len(await desk.items("/v1/webhook-endpoints")) == 10


async def test_a_change_says_what_it_changes(desk: Desk) -> None:
    path = f"/v1/webhook-endpoints/{(await desk.create())['endpoint_id']}"
    blind = await desk.call("PATCH", path, {"enabled": False})
    assert (blind.status_code, blind.json()["code"]) == (428, "if_match_required")
    changed = await desk.call("PATCH", path, {"enabled": False}, If_Match='"1"')
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert changed.json()["disabled_reason"] == "by its distributor"
    guessed = await desk.call("PATCH", path, {"enabled": "yes"}, If_Match='"2"')
    assert (guessed.status_code, guessed.json()["errors"][0]["field"]) == (422, "body.enabled")
    late = await desk.call("PATCH", path, {"types": ["order.closed"]}, If_Match='"1"')
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    both = {"enabled": True, "types": ["order.closed"]}
    changed = await desk.call("PATCH", path, both, If_Match='"1", "2"')
    view = changed.json()
    assert (view["enabled"], view["disabled_reason"]) == (True, None)
    assert (view["types"], view["url"], view["version"]) == (["order.closed"], URL, 3)


async def test_a_rotated_secret_is_another(desk: Desk) -> None:
    made = await desk.create()
    path = f"/v1/webhook-endpoints/{made['endpoint_id']}"
    rotated = (await desk.call("POST", f"{path}/rotate-secret")).json()
    assert rotated["secret"] not in ("", made["secret"])
    assert rotated["former_secret_until"] > made["created_at"]
    assert "secret" not in (await desk.call("GET", path)).json()


async def test_notices_and_deliveries_are_listed(desk: Desk) -> None:
    made = await desk.create(types=["order.issued"])
    for event_type in ("order.issued", "entitlement.used", "order.issued"):
        await desk.notify(event_type)
    events = await desk.items("/v1/webhook-events")
    assert [event["sequence"] for event in events] == [3, 2, 1]
    assert events[0]["data"] == {"tickets": 2}
    assert await desk.items("/v1/webhook-events", type="entitlement.used") == [events[1]]
    assert await desk.items("/v1/webhook-events", order_no="ord_none") == []
    first = await desk.shop.get("/v1/webhook-events", by=desk.headers, limit=2)
    rest = await desk.items("/v1/webhook-events", cursor=first.json()["next_cursor"], limit=2)
    assert first.json()["items"] + rest == events

    deliveries = await desk.items("/v1/webhook-deliveries")
    assert [row["event_id"] for row in deliveries] == [
        events[0]["event_id"],
        events[2]["event_id"],
    ]
    assert (deliveries[0]["status"], deliveries[0]["attempts"]) == ("pending", 0)
    for params, expected in (
        ({"event_id": events[2]["event_id"]}, deliveries[1:]),
        ({"endpoint_id": made["endpoint_id"]}, deliveries),
        ({"endpoint_id": "whp_none"}, []),
        ({"order_no": desk.order_no}, deliveries),
        ({"status": "delivered"}, []),
    ):
        assert await desk.items("/v1/webhook-deliveries", **params) == expected


async def test_a_replay_makes_deliveries(desk: Desk) -> None:
    await desk.notify()
    one, other = await desk.create(), await desk.create(types=["order.closed"])
    (event,) = await desk.items("/v1/webhook-events")
    path = f"/v1/webhook-events/{event['event_id']}/replay"
    to_all = await desk.call("POST", path, {})
    assert to_all.status_code == 202
    assert [d["endpoint_id"] for d in to_all.json()["items"]] == [one["endpoint_id"]]
    to_one = await desk.call("POST", path, {"endpoint_id": other["endpoint_id"]})
    assert [d["endpoint_id"] for d in to_one.json()["items"]] == [other["endpoint_id"]]
    disabling = f"/v1/webhook-endpoints/{one['endpoint_id']}"
    await desk.call("PATCH", disabling, {"enabled": False}, If_Match="*")
    refused = await desk.call("POST", path, {"endpoint_id": one["endpoint_id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
    nowhere = await desk.call("POST", path, {"endpoint_id": "whp_none"})
    assert nowhere.status_code == 404


async def test_every_route_asks_for_a_token_its_scope_and_a_distributor(
    desk: Desk, bearer: Bearer
) -> None:
    for method, path, scope, body in ROUTES:
        anonymous = await desk.call(method, path, body, by={"Authorization": "Bearer shm_guess"})
        assert (path, anonymous.status_code) == (path, 401)
        others = bearer("distributor", "dst_1", scopes={*SCOPES, "orders:write"} - {scope})
        answer = await desk.call(method, path, body, by=others)
        assert (path, answer.status_code, answer.json()["scopes"]) == (path, 403, [scope])
        for kind, party_id, reseller in (
            ("reseller", "dst_1", "代购甲"),
            ("operator", None, None),
            ("spot", "spt_1", None),
            ("device", "spt_1", None),
            ("service", None, None),
            ("distributor", None, None),
        ):
            who = bearer(kind, party_id, reseller=reseller, scopes=SCOPES)
            answer = await desk.call(method, path, body, by=who, If_Match="*")
            assert (kind, path, answer.status_code) == (kind, path, 403)


async def test_what_is_anothers_looks_like_what_is_not(desk: Desk, bearer: Bearer) -> None:
    made = await desk.create()
    await desk.notify()
    (event,) = await desk.items("/v1/webhook-events")
    stranger = bearer("distributor", "dst_2", scopes=SCOPES)
    own = {"endpoint_id": made["endpoint_id"], "event_id": event["event_id"]}
    none = {"endpoint_id": "whp_none", "event_id": "whe_none"}
    for method, path, _, body in ROUTES:
        if "{" not in path:
            continue
        hidden = await desk.call(method, path.format(**own), body, by=stranger, If_Match="*")
        missing = await desk.call(method, path.format(**none), body, by=stranger, If_Match="*")
        assert (path, hidden.status_code, missing.status_code) == (path, 404, 404)
        seen = hidden.text
        for name, value in own.items():
            seen = seen.replace(value, none[name])
        assert seen == missing.text
    for path in LISTS:
        listed = await desk.call("GET", path, by=stranger)
        assert (path, listed.status_code, listed.json()["items"]) == (path, 200, [])
        named = await desk.shop.get(path, by=stranger, **own)
        assert named.json()["items"] == []
    strangers = (await desk.call("POST", LISTS[0], {"url": URL}, by=stranger)).json()
    replay = f"/v1/webhook-events/{event['event_id']}/replay"
    for endpoint_id in (strangers["endpoint_id"], "whp_none"):
        answer = await desk.call("POST", replay, {"endpoint_id": endpoint_id})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await desk.items(LISTS[0]))[0] | {"secret": made["secret"]} == made


async def test_one_distributors_news_goes_to_no_other(desk: Desk, bearer: Bearer) -> None:
    stranger = bearer("distributor", "dst_2", scopes=SCOPES)
    await desk.call("POST", LISTS[0], {"url": "https://other.example.com/"}, by=stranger)
    made = await desk.create()
    await desk.notify()
    rows = await desk.shop.rows(WEBHOOK_DELIVERIES)
    assert [(row["endpoint_id"], row["distributor_id"]) for row in rows] == [
        (made["endpoint_id"], "dst_1")
    ]
