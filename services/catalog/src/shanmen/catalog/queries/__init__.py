"""Catalog's SQL."""
