"""The published language: what the services say to each other, one module per producer.

Versioned by name (`orders.order_paid.v1`). Fields may be added, never changed or removed;
consumers ignore what they do not know. Accounts travel as references only: an account's number
leaves catalog for nobody but the gateway. No event carries personal data.
"""
