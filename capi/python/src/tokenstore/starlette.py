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

from starlette.responses import PlainTextResponse
from starlette.types import Scope

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
        self._try_validate = self.store.store.try_validate

    async def decide(self, scope: Scope, scopes: Sequence[str]) -> Union[Verdict, Refusal]:
        """The verdict, if it is valid for every one of the scopes. ``scope``: the request, as the server has it; the
        framework's own views of it cost more than the validation."""
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        text, refusal = self.challenges.of_header(values)
        if refusal is not None:
            return refusal
        client = scope.get("client")
        address = client[0] if client else None
        for needed in scopes:
            quick = self._try_validate(text, needed, client_address=address)
            verdict = await self.store.validate(text, needed, client_address=address) if quick is None else quick
            if not verdict.valid:
                return self.challenges.refused(verdict, scopes)
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
                decision = await self._gate.decide(request.scope, needed)
                if isinstance(decision, Refusal):
                    return PlainTextResponse(decision.message + "\n", decision.status, decision.headers)
                request.state.token = decision
                return await endpoint(request)

            return guarded  # type: ignore[return-value]

        return decorate
