"""Verification's own refusals. A scan that is not admitted is no refusal: it is a scan."""

from shanmen.common.errors import Forbidden


class NotAGate(Forbidden):
    """The caller belongs to no spot, so no ticket is for it."""

    code = "not_a_gate"

    def __init__(self) -> None:
        super().__init__("Only a scenic spot (景区) and its gate devices (验票设备) may do this.")
