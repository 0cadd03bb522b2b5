"""What the gateway refuses."""

from shanmen.common.errors import Refusal, Unavailable


class NotificationRejected(Refusal):
    """A channel notification that is not believed; it changed nothing."""

    code = "notification_rejected"


class ChannelUnavailable(Unavailable):
    """The channel gave no answer that could be verified."""

    code = "channel_unavailable"
