"""The Huijinbao simulator as an ASGI application."""

from starlette.applications import Starlette
from starlette.routing import Route

from shanmen.simulators import downloads
from shanmen.simulators.app import build_app
from shanmen.simulators.huijinbao import admin
from shanmen.simulators.huijinbao.channel import Channel
from shanmen.simulators.huijinbao.enrolment import SECTIONS
from shanmen.simulators.huijinbao.gateway import serve_gateway
from shanmen.simulators.settings import Settings


def create_app(settings: Settings) -> Starlette:
    """The application; its lifespan opens the books and runs the work in the background.

    Serve it with `shanmen.simulators.serving.build_server`, so that faults can drop connections.
    """
    return build_app(
        lambda: Channel(settings),
        SECTIONS,
        [
            Route("/hjb/v2/{method}", serve_gateway, methods=["POST"]),
            downloads.route("/hjb/bills", "application/gzip"),
            *admin.routes(),
        ],
    )
