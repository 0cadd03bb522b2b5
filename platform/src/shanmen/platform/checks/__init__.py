"""What must hold in every installation at every time, and looking whether it does."""

from shanmen.platform.checks.checking import check_installation

__all__ = ["check_installation"]
