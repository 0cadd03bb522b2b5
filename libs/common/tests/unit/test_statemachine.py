"""Status machines: the table decides, in both directions alike."""

from enum import StrEnum
from itertools import product

import pytest

from shanmen.common.statemachine import Machine, table


class Light(StrEnum):
    """A traffic light that can break."""

    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


LIGHT = Machine(
    "light",
    Light.RED,
    table(
        [
            (Light.RED, [Light.GREEN, Light.BROKEN]),
            (Light.GREEN, [Light.RED]),
            (Light.BROKEN, []),
        ]
    ),
)
LEGAL = {
    (Light.RED, Light.GREEN),
    (Light.RED, Light.BROKEN),
    (Light.GREEN, Light.RED),
}


@pytest.mark.parametrize(("source", "target"), list(product(Light, Light)))
def test_every_cell(source: Light, target: Light) -> None:
    assert LIGHT.allows(source, target) is ((source, target) in LEGAL)
    assert (source in LIGHT.sources(target)) is ((source, target) in LEGAL)


def test_what_nothing_follows_is_terminal() -> None:
    assert [light for light in Light if LIGHT.is_terminal(light)] == [Light.BROKEN]


def test_a_table_names_every_status() -> None:
    with pytest.raises(ValueError, match="broken"):
        Machine("light", Light.RED, table([(Light.RED, []), (Light.GREEN, [])]))
