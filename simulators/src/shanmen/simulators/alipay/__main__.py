"""`python -m shanmen.simulators.alipay`: the Alipay simulator in a process of its own."""

from shanmen.simulators import command
from shanmen.simulators.alipay.app import create_app

if __name__ == "__main__":
    command.run("shanmen.simulators.alipay", create_app)
