"""What the gateway refuses."""

from shanmen.common.errors import Conflict, Invalid, Refusal, Unavailable


class NotificationRejected(Refusal):
    """A channel notification that is not believed; it changed nothing."""

    code = "notification_rejected"


class ChannelUnavailable(Unavailable):
    """The channel gave no answer that could be verified."""

    code = "channel_unavailable"


class ChannelOff(Conflict):
    """The channel is not set up here, so nothing is known of it."""

    code = "channel_off"


class NoBillYet(Conflict):
    """The channel has not made the bill of that day; ask again later."""

    code = "bill_not_ready"


class BillNotRead(Invalid):
    """The channel's bill cannot be read; the detail names the place. Nothing of it was kept."""

    code = "bill_unreadable"


class NotInvested(Conflict):
    """Nothing is ever invested for that product, as the channel is set up."""

    code = "no_wealth"
