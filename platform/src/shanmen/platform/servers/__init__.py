"""Private PostgreSQL and RabbitMQ servers, started and stopped by the project itself."""
