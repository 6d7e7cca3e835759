"""Starlette: endpoints that demand a scope of a bearer token.

    guard = tokenstore.starlette.Guard(store, realm="notes")

    @guard("notes:read")
    async def notes(request):
        return JSONResponse(notes_of(request.state.token.owner))

An endpoint that names no scope cannot be made. For FastAPI there is ``tokenstore.fastapi``.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Awaitable, Callable, Sequence, TypeVar, Union

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from ._bearer import Challenges, Refusal, checked_scopes
from ._core import Verdict
from ._store import TokenStore
from .aio import AsyncTokenStore

__all__ = ["Guard"]

_EXAMPLE = '@guard("notes:read")'
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Awaitable[Any]])


class Gate:
    """Asks the store about what a request brings: what Starlette and FastAPI share."""

    def __init__(self, store: Union[TokenStore, AsyncTokenStore], realm: str) -> None:
        self.challenges = Challenges(realm)
        self.store = store if isinstance(store, AsyncTokenStore) else AsyncTokenStore(store)

    async def decide(self, request: HTTPConnection, scopes: Sequence[str]) -> Union[Verdict, Refusal]:
        """The verdict, if it is valid for every scope."""
        text, refusal = self.challenges.of_header(request.headers.getlist("authorization"))
        if refusal is not None:
            return refusal
        address = request.client.host if request.client is not None else None
        for scope in scopes:
            verdict = await self.store.validate(text, scope, client_address=address)
            refusal = self.challenges.of_verdict(verdict, scopes)
            if refusal is not None:
                return refusal
        return verdict


class Guard:
    """Makes endpoints demand scopes, all of those that are named. ``request.state.token`` is the valid Verdict.

    ``store``: a TokenStore or an AsyncTokenStore. ``realm``: what the token is for, as clients are told.
    """

    def __init__(self, store: Union[TokenStore, AsyncTokenStore], *, realm: str = "api") -> None:
        self._gate = Gate(store, realm)

    def __call__(self, *scopes: str) -> Callable[[_Endpoint], _Endpoint]:
        """For an ``async def`` endpoint that takes a request."""
        needed = checked_scopes(scopes, _EXAMPLE)

        def decorate(endpoint: _Endpoint) -> _Endpoint:
            if not asyncio.iscoroutinefunction(endpoint):
                raise TypeError("a guarded endpoint must be an async def function that takes a request")

            @functools.wraps(endpoint)
            async def guarded(request: Any) -> Any:
                decision = await self._gate.decide(request, needed)
                if isinstance(decision, Refusal):
                    return PlainTextResponse(decision.message + "\n", decision.status, decision.headers)
                request.state.token = decision
                return await endpoint(request)

            return guarded  # type: ignore[return-value]

        return decorate
