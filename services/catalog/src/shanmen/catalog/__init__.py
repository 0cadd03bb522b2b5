"""The catalog service: parties, accounts, credentials, products and the pool."""
