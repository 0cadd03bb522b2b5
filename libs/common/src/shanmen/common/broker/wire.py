"""Events as AMQP messages: CloudEvents attributes and trace context in headers, a JSON body."""

import json
from datetime import UTC, datetime

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from shanmen.common.broker.protocol import DeadLetter, Delivery
from shanmen.common.events import Message


def encode(message: Message) -> aio_pika.Message:
    """A message on the wire: CloudEvents attributes in the headers, the payload as JSON."""
    return aio_pika.Message(
        body=json.dumps(message.data, ensure_ascii=False).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.id,
        headers={
            "cloudEvents:specversion": "1.0",
            "cloudEvents:id": message.id,
            "cloudEvents:type": message.type,
            "cloudEvents:source": message.source,
            "cloudEvents:subject": message.subject,
            "cloudEvents:time": message.time.isoformat(),
            "cloudEvents:dataschema": message.dataschema,
            **message.trace,
        },
    )


def decode(incoming: AbstractIncomingMessage) -> Message | None:
    """The message in a delivery, or None when it is not one of ours."""
    headers = incoming.headers
    try:
        data = json.loads(incoming.body)
        if not isinstance(data, dict):
            return None
        return Message(
            id=str(headers["cloudEvents:id"]),
            type=str(headers["cloudEvents:type"]),
            source=str(headers["cloudEvents:source"]),
            subject=str(headers["cloudEvents:subject"]),
            time=datetime.fromisoformat(str(headers["cloudEvents:time"])),
            data=data,
            trace={k: str(headers[k]) for k in ("traceparent", "tracestate") if k in headers},
        )
    except (ValueError, KeyError, RecursionError):
        return None


def delivery_of(incoming: AbstractIncomingMessage) -> Delivery:
    """What the inbox gets to see of a delivery."""
    return Delivery(decode(incoming), refusals_of(incoming))


def refusals_of(incoming: AbstractIncomingMessage) -> int:
    """How many rungs of the ladder a message has been down."""
    value = incoming.headers.get("x-shanmen-refusals", 0)
    return value if isinstance(value, int) else 0


def times_returned(incoming: AbstractIncomingMessage) -> int:
    """How often a consumer got this delivery and went away without a verdict."""
    value = incoming.headers.get("x-delivery-count", 0)
    return value if isinstance(value, int) else 0


def message_id_of(incoming: AbstractIncomingMessage) -> str:
    """The event's id, where the sender gave one."""
    return incoming.message_id or "(no id)"


def copy_of(incoming: AbstractIncomingMessage, *, refusals: int, reason: str) -> aio_pika.Message:
    """A message to send on, with what happened to it so far."""
    # The broker's own x-… headers (deaths, delivery counts) belong to the old delivery.
    headers = {k: v for k, v in incoming.headers.items() if not k.startswith("x-")}
    return aio_pika.Message(
        body=incoming.body,
        content_type=incoming.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=incoming.message_id,
        headers={
            **headers,
            "x-shanmen-refusals": refusals,
            "x-shanmen-reason": reason[:500],
            "x-shanmen-refused-at": datetime.now(UTC).isoformat(),
        },
    )


def dead_letter_of(queue: str, incoming: AbstractIncomingMessage) -> DeadLetter:
    """A parked message as an operator sees it."""
    message = decode(incoming)
    refused_at = incoming.headers.get("x-shanmen-refused-at")
    return DeadLetter(
        id=message_id_of(incoming),
        queue=queue,
        type=message.type if message else "(not an event)",
        subject=message.subject if message else "",
        reason=str(incoming.headers.get("x-shanmen-reason", "delivered too often")),
        refusals=refusals_of(incoming),
        parked_at=datetime.fromisoformat(str(refused_at)) if refused_at else datetime.now(UTC),
    )


def refusal_of(error: aio_pika.exceptions.DeliveryError) -> str:
    """Why the broker did not take a message."""
    returned = isinstance(error, aio_pika.exceptions.PublishError)
    return "unroutable, no queue is bound" if returned else "not confirmed"
