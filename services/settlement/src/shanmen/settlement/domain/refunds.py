"""What goes back to a distributor for what was not visited. Pure."""

from collections.abc import Mapping

from shanmen.common.money import Fen, allocate


def fee_shares_fen(fee_fen: int, parts_fen: Mapping[str, int]) -> Mapping[str, Fen]:
    """Each entitlement's share of its order's transaction fee (手续费), by entitlement id.

    In proportion to the parts of the price, by largest remainder; equal remainders go to the
    earlier id, so that a share is the same whichever entitlement is refunded first. The shares of
    all add up to the fee. Raises ValueError without an entitlement, or for a negative amount.
    """
    ids = sorted(parts_fen)
    shares = allocate(fee_fen, [parts_fen[entitlement_id] for entitlement_id in ids])
    return dict(zip(ids, shares, strict=True))
