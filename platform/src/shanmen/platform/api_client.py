"""A client of the public API, as a distributor's or a spot's engineer would write one."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shanmen.common.ids import new_id

PATIENCE: Final = 5
REPEAT_AFTER_S: Final = 0.5


class ApiRefusal(Exception):
    """An answer that is not a success, with its problem details."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable code of the refusal."""
        return str(self.problem.get("code"))


class ApiClient:
    """Calls the API as one principal. Every POST carries an Idempotency-Key of its own.

    A call that nobody could take (503) is repeated with the same key, a few times.
    """

    def __init__(self, client: httpx.AsyncClient, base_url: str, token: str) -> None:
        self.client = client
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, **query: Any) -> Any:
        """GET; the parsed body. Raises ApiRefusal."""
        return await self._call("GET", path, params=query)

    async def post(
        self, path: str, body: Any = None, *, wait_s: int = 0, key: str | None = None
    ) -> Any:
        """POST; the parsed body. Raises ApiRefusal."""
        headers = {"Idempotency-Key": key or new_id("key")}
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}"
        return await self._call("POST", path, json=body, headers=headers)

    async def put(self, path: str, body: Any) -> Any:
        """PUT; the parsed body. Raises ApiRefusal."""
        return await self._call("PUT", path, json=body)

    async def _call(
        self, verb: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Any:
        more["headers"] = {**self._headers, **(headers or {})}
        answer = await self._send(verb, path, **more)
        for _ in range(PATIENCE):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            await asyncio.sleep(REPEAT_AFTER_S)
            answer = await self._send(verb, path, **more)
        if answer.is_error:
            raise ApiRefusal(answer.status_code, answer.json())
        return answer.json()

    async def _send(self, verb: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(verb, f"{self._base_url}{path}", timeout=40, **more)
