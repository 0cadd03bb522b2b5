"""Text messages (短信): the port of an SMS gateway, its adapters, and the texts."""
