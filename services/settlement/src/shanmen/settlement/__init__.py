"""Settlement: the ledger, the money status of every entitlement, and payouts to spots."""
