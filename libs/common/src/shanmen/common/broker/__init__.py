"""The event transports: RabbitMQ, and an in-process one, behind one small protocol."""
