"""Orders that stood before a revision go on after it, and nothing stands in the way back."""

import asyncio
from typing import TYPE_CHECKING

from alembic import command

from shanmen.common.migrate import alembic_config
from shanmen.orders.main import SERVICE
from shanmen.orders.tables import DEBITS

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


async def test_debits_that_were_under_way_find_their_orders_afterwards(
    shop: "Shop", second_shop: "Shop"
) -> None:
    orders = [(await shop.place(f"A-{n}"))["order_no"] for n in range(4)]
    requested, short, cancelled = [await shop.pay(order_no) for order_no in orders[:3]]
    await shop.told(shop.stuck(short))
    await shop.post(f"/v1/orders/{orders[2]}/cancel")
    config = alembic_config(SERVICE.migrations, SERVICE.metadata, shop.ctx.db.url)
    await asyncio.to_thread(command.downgrade, config, "0001")
    await asyncio.to_thread(command.upgrade, config, "head")

    # Through another process: it has prepared no statement for the tables as they were.
    kept = {row["operation_id"]: row["order_no"] for row in await second_shop.rows(DEBITS)}
    assert kept == dict(zip((requested, short, cancelled), orders, strict=False))
    assert (await second_shop.view(orders[1]))["payment"]["short_since"] is not None
    await second_shop.told(*(second_shop.succeeded(operation) for operation in kept))
    assert [*(await second_shop.statuses()).values()] == ["issued"] * 3 + ["awaiting_payment"]
