"""What the Alipay simulator is told when it starts."""

from shanmen.simulators.settings import Settings

__all__ = ["Settings"]
