"""Alipay's v2 gateway with books, signatures, notifications and faults of its own."""
