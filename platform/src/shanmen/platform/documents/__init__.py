"""Documents that are written from the code: docs/api, docs/events and docs/states."""
