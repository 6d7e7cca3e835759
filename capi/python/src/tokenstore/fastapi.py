"""FastAPI: a security dependency that demands the scopes of ``Security(..., scopes=[...])`` of a bearer token.

    app = FastAPI()
    protect(app, tokenstore.aio.open("tokens.db"), realm="notes")

    @app.get("/notes", responses=token.responses)
    async def notes(verdict: Verdict = Security(token, scopes=["notes:read"])) -> List[str]:
        return notes_of(verdict.owner)

A route that uses ``token`` and names no scope keeps the application from starting. The answers are RFC 6750's: 401 and
403 with WWW-Authenticate, 400 for more than one token, and 503 if nobody can say whether the token is good.
"""

# Annotations are evaluated here: FastAPI reads those of the dependency, and would not find the names.
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, AsyncIterator, Dict, Iterator, Optional, Set, Union

from fastapi import FastAPI, HTTPException
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from ._bearer import Refusal, checked_again, checked_scopes
from ._core import Verdict
from ._store import TokenStore
from .aio import AsyncTokenStore, Opening
from .starlette import Gate

__all__ = ["BearerToken", "protect", "store_of", "token"]

_EXAMPLE = 'Security(token, scopes=["notes:read"])'
_STATE = "tokenstore_protection"


class BearerToken(SecurityBase):
    """The dependency. There is one, ``token``; its value in a route is the valid Verdict."""

    scheme_name = "bearerToken"
    #: What its routes may answer, for ``responses=`` of a route, a router or the application.
    responses: Dict[Union[int, str], Dict[str, Any]] = {
        400: {"description": "More than one token was sent."},
        401: {"description": "The token is missing or not valid."},
        403: {"description": "The token does not grant what this needs."},
        503: {"description": "Nobody can say whether the token is valid: try again."},
    }

    def __init__(self) -> None:
        self.model = HTTPBearerModel(description="An access token, sent as `Authorization: Bearer TOKEN`.")

    async def __call__(self, request: HTTPConnection, security_scopes: SecurityScopes) -> Verdict:
        # Starting looks through the routes, but not through those that are added afterwards.
        scopes = checked_again(security_scopes.scopes, _EXAMPLE)
        decision = await _protection_of(request.scope["app"]).gate().decide(request.scope, scopes)
        if isinstance(decision, Refusal):
            raise HTTPException(decision.status, decision.message, headers=decision.headers)
        return decision


#: The dependency: ``Security(token, scopes=["notes:read"])``.
token = BearerToken()


class _Protection:
    def __init__(self, store: Union[TokenStore, AsyncTokenStore, Opening], realm: str) -> None:
        self._opening = store if isinstance(store, Opening) else None
        self._realm = realm
        self._gate: Optional[Gate] = None
        if not isinstance(store, Opening):
            self._gate = Gate(store, realm)

    def gate(self) -> Gate:
        if self._gate is None:
            raise RuntimeError("the store is not open: the server has to run the application's lifespan")
        return self._gate

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if self._opening is not None:
                self._gate = Gate(await stack.enter_async_context(self._opening), self._realm)
            try:
                yield
            finally:
                if self._opening is not None:
                    self._gate = None


def protect(
    app: FastAPI, store: Union[TokenStore, AsyncTokenStore, Opening], *, realm: str = "api"
) -> None:
    """Lets the routes of an application demand tokens of a store.

    A ``tokenstore.aio.open(...)`` is opened when the application starts, in each worker, and closed when it ends; a
    store that is open stays its opener's. ``realm``: what the tokens are for, as clients are told.
    """
    if not isinstance(store, (TokenStore, AsyncTokenStore, Opening)):
        raise TypeError(f"store must be a store or a tokenstore.aio.open(...), not {type(store).__name__}")
    protection = _Protection(store, realm)
    setattr(app.state, _STATE, protection)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(started: Any) -> AsyncIterator[Any]:
        _check_routes(app)
        async with protection.opened(), inner(started) as state:
            yield state

    app.router.lifespan_context = lifespan


def store_of(request: HTTPConnection) -> AsyncTokenStore:
    """The store that protects the application: ``store: AsyncTokenStore = Depends(store_of)``."""
    return _protection_of(request.app).gate().store


def _protection_of(app: Any) -> _Protection:
    protection = getattr(app.state, _STATE, None)
    if not isinstance(protection, _Protection):
        raise RuntimeError("call tokenstore.fastapi.protect(app, store) for the application that has this route")
    return protection


def _check_routes(app: Any) -> None:
    """Raises for a route that uses the dependency without a scope, or in an application without a store."""
    for route in _routes(app, set()):
        for dependant in _dependants(route.dependant):
            if isinstance(dependant.call, BearerToken):
                try:
                    checked_scopes(dependant.security_scopes or [], _EXAMPLE)
                except (TypeError, ValueError) as error:
                    raise type(error)(f"the route {route.path}: {error}") from None


def _routes(app: Any, seen: Set[int]) -> Iterator[Any]:
    # Applications that are mounted are not started by themselves.
    if id(app) in seen:
        return
    seen.add(id(app))
    for route in getattr(app, "routes", None) or ():
        if isinstance(getattr(route, "dependant", None), Dependant):
            yield route
        yield from _routes(getattr(route, "app", None), seen)


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _dependants(inner)
