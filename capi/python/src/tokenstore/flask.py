"""Flask: views that demand a scope of a bearer token.

    tokens = tokenstore.flask.Tokens(app, tokenstore.open("tokens.db"), realm="notes")

    @app.get("/notes")
    @tokens.required("notes:read")
    def notes():
        return notes_of(tokenstore.flask.current_token.owner)

A view that names no scope cannot be made.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Optional, Sequence, TypeVar, cast

from flask import Flask, Response, current_app, g, request
from werkzeug.local import LocalProxy

from ._bearer import Challenges, Refusal, checked_scopes
from ._core import Verdict
from ._store import TokenStore

__all__ = ["Tokens", "current_token"]

_EXAMPLE = '@tokens.required("notes:read")'
_EXTENSION = "tokenstore"
_View = TypeVar("_View", bound=Callable[..., Any])


class Tokens:
    """The extension: ``Tokens(app, store)``, or ``Tokens()`` and then ``init_app(app, store)`` for each application.

    The store is the caller's to close. A store that was opened before the server forked serves its workers too.
    """

    def __init__(self, app: Optional[Flask] = None, store: Optional[TokenStore] = None, *, realm: str = "api") -> None:
        if app is not None:
            if store is None:
                raise TypeError("Tokens(app, store) needs the store, such as tokenstore.open('tokens.db')")
            self.init_app(app, store, realm=realm)
        elif store is not None:
            raise TypeError("give the store to init_app(app, store), together with the application")

    def init_app(self, app: Flask, store: TokenStore, *, realm: str = "api") -> None:
        """Lets the views of an application demand tokens of a store."""
        app.extensions[_EXTENSION] = _Protection(store, realm)

    def required(self, *scopes: str) -> Callable[[_View], _View]:
        """For a view: the scopes that it demands, all of them. ``current_token`` is then the valid Verdict."""
        needed = checked_scopes(scopes, _EXAMPLE)

        def decorate(view: _View) -> _View:
            @functools.wraps(view)
            def guarded(*arguments: Any, **named: Any) -> Any:
                refusal = _protection().refusal(needed)
                if refusal is not None:
                    return Response(refusal.message + "\n", refusal.status, refusal.headers, mimetype="text/plain")
                return current_app.ensure_sync(view)(*arguments, **named)

            return cast(_View, guarded)

        return decorate

    @property
    def store(self) -> TokenStore:
        """The store of the current application."""
        return _protection().store


class _Protection:
    def __init__(self, store: TokenStore, realm: str) -> None:
        if not isinstance(store, TokenStore):
            raise TypeError(f"store must be a TokenStore, not {type(store).__name__}")
        self.store = store
        self._challenges = Challenges(realm)

    def refusal(self, scopes: Sequence[str]) -> Optional[Refusal]:
        text, refusal = self._challenges.of_header(request.headers.getlist("Authorization"))
        if refusal is not None:
            return refusal
        for scope in scopes:
            verdict = self.store.validate(text, scope, client_address=request.remote_addr)
            if not verdict.valid:
                return self._challenges.refused(verdict, scopes)
        g.tokenstore_token = verdict
        return None


def _protection() -> _Protection:
    protection = current_app.extensions.get(_EXTENSION)
    if not isinstance(protection, _Protection):
        raise RuntimeError("call init_app(app, store) of tokenstore.flask.Tokens for this application")
    return protection


def _current() -> Verdict:
    verdict = g.get("tokenstore_token")
    if verdict is None:
        raise RuntimeError(f"there is no token here: the view needs {_EXAMPLE}")
    return cast(Verdict, verdict)


#: The valid Verdict of the request, in a view that demands one.
current_token: Verdict = cast(Verdict, LocalProxy(_current))
