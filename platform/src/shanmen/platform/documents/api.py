"""docs/api: the OpenAPI document of every service, and the merged one of the edge."""

import json
from collections.abc import Mapping
from typing import Any

from shanmen.platform.edge import merged_openapi, openapi_of
from shanmen.platform.services import SERVICES


def api_documents() -> Mapping[str, str]:
    """One OpenAPI document per service, and `shanmen.json` for all paths together."""
    described = {service.name: openapi_of(service) for service in SERVICES}
    described["shanmen"] = merged_openapi(SERVICES)
    return {f"docs/api/{name}.json": as_json(content) for name, content in described.items()}


def as_json(content: Mapping[str, Any]) -> str:
    """JSON as it is kept in the repository: readable, Chinese as it is, a newline at the end."""
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
