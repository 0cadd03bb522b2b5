"""Huijinbao's v2 interface with books, wealth products, bills, notifications and faults."""
