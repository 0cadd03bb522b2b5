"""`python -m shanmen.simulators.huijinbao`: the Huijinbao simulator in a process of its own."""

from shanmen.simulators import command
from shanmen.simulators.huijinbao.app import create_app

if __name__ == "__main__":
    command.run("shanmen.simulators.huijinbao", create_app)
