"""What several services spell is spelt alike. No service may import another's words for it."""

from enum import StrEnum
from typing import Any, Final, get_args

import pytest

from shanmen.catalog.schemas import NewAccount
from shanmen.catalog.usecases.products import SELLERS as CATALOG_SELLERS
from shanmen.common.statemachine import Machine
from shanmen.contracts import gateway as told
from shanmen.gateway_adapters.domain import operations as gateway
from shanmen.orders import domain as orders
from shanmen.orders import events as orders_events
from shanmen.orders.usecases.paying import SELLERS as ORDERS_SELLERS
from shanmen.settlement import events as settlement_events
from shanmen.settlement.domain import statuses as settlement
from shanmen.settlement.domain.wealth import WealthMoveKind
from shanmen.settlement.settings import SettlementSettings
from shanmen.verification import domain as verification

PROJECTED: Final = [
    (verification.Usage, orders.Usage),
    (settlement.Settlement, orders.Settlement),
]


@pytest.mark.parametrize(("written", "projected"), PROJECTED, ids=["usage", "settlement"])
def test_a_projection_knows_every_status_and_no_other(
    written: type[StrEnum], projected: type[StrEnum]
) -> None:
    assert {m.name: m.value for m in projected} == {m.name: m.value for m in written}


@pytest.mark.parametrize(
    ("machine", "projected_first"),
    [
        (verification.USAGE, orders.Usage.UNUSED),
        (settlement.SETTLEMENT, orders.Settlement.PENDING),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_projection_begins_where_the_status_begins(
    machine: Machine[Any], projected_first: StrEnum
) -> None:
    assert projected_first == machine.initial


def test_channels_are_named_alike() -> None:
    channels = {channel.value for channel in gateway.Channel}
    assert {*get_args(NewAccount.model_fields["channel"].annotation)} == channels
    minimum_fen = SettlementSettings.model_fields["payout_minimum_fen"].default
    assert minimum_fen.keys() == channels


def test_each_kind_of_operation_is_somebodys() -> None:
    """An event about an operation reaches every requester; each knows its own by the kind."""
    kinds = {kind.value for kind in gateway.OperationKind}
    wealth = {kind.value for kind in gateway.WEALTH}
    assert {orders_events.DEBIT, *settlement_events.SUCCEEDED} == kinds
    assert wealth == {kind.value for kind in WealthMoveKind}
    commands = {
        told.DebitRequested.TYPE,
        told.PayoutRequested.TYPE,
        told.RefundRequested.TYPE,
        told.WealthSubscribeRequested.TYPE,
        told.WealthRedeemRequested.TYPE,
        told.WealthLiquidateRequested.TYPE,
    }
    named = {kind: f"wealth_{kind}" if kind in wealth else kind for kind in kinds}
    assert commands == {f"gateway.{name}_requested.v1" for name in named.values()}


def test_sellers_are_the_same_everywhere() -> None:
    assert CATALOG_SELLERS == ORDERS_SELLERS
