"""The Alipay simulator as an ASGI application."""

from starlette.applications import Starlette
from starlette.routing import Route

from shanmen.simulators import downloads
from shanmen.simulators.alipay import admin
from shanmen.simulators.alipay.channel import Channel
from shanmen.simulators.alipay.enrolment import SECTIONS
from shanmen.simulators.alipay.gateway import serve_gateway
from shanmen.simulators.app import build_app
from shanmen.simulators.settings import Settings


def create_app(settings: Settings) -> Starlette:
    """The application; its lifespan opens the books and runs the work in the background.

    Serve it with `shanmen.simulators.serving.build_server`, so that faults can drop connections.
    """
    return build_app(
        lambda: Channel(settings),
        SECTIONS,
        [
            Route("/gateway.do", serve_gateway, methods=["GET", "POST"]),
            downloads.route("/bills", "application/zip"),
            *admin.routes(),
        ],
    )
