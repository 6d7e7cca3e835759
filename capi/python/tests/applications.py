"""One small application in each framework: an open page, a route for one scope and a route for two."""

import contextlib
import os

import flask
import tokenstore.fastapi
import tokenstore.flask
import tokenstore.starlette
from fastapi import Depends, FastAPI, Security
from serving import asgi, wsgi
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from tokenstore import Verdict
from tokenstore.fastapi import token


def fastapi_app(store):
    app = FastAPI()
    tokenstore.fastapi.protect(app, store, realm="notes")

    @app.get("/")
    async def home():
        return "open"

    @app.get("/who", responses=token.responses)
    async def who(verdict: Verdict = Security(token, scopes=["notes:read"])):
        return {"owner": verdict.owner}

    # A dependency between, as most applications have: what the route names comes on top.
    async def reader(verdict: Verdict = Security(token, scopes=["notes:read"])):
        return verdict.owner

    @app.get("/both")
    async def both(owner: str = Security(reader, scopes=["notes:write"]), again: str = Depends(reader)):
        return {"owner": owner}

    return app


def starlette_app(store):
    guard = tokenstore.starlette.Guard(store, realm="notes")

    async def home(request):
        return PlainTextResponse("open")

    @guard("notes:read")
    async def who(request):
        return JSONResponse({"owner": request.state.token.owner})

    @guard("notes:read", "notes:write")
    async def both(request):
        return JSONResponse({"owner": request.state.token.owner})

    return Starlette(routes=[Route("/", home), Route("/who", who), Route("/both", both)])


def flask_app(store):
    app = flask.Flask("notes")
    tokens = tokenstore.flask.Tokens(app, store, realm="notes")

    @app.get("/")
    def home():
        return "open"

    @app.get("/who")
    @tokens.required("notes:read")
    def who():
        return {"owner": tokenstore.flask.current_token.owner}

    @app.get("/both")
    @tokens.required("notes:read", "notes:write")
    def both():
        assert tokens.store is store
        return {"owner": tokenstore.flask.current_token.owner}

    return app


def set_up_django(database):
    """Once for the process; the store is opened anew for each test."""
    os.environ["DJANGO_PROJECT_DATABASE"] = str(database)
    os.environ["DJANGO_SETTINGS_MODULE"] = "django_project.settings"
    import django

    django.setup()


@contextlib.contextmanager
def django_store(database):
    set_up_django(database)
    from django.test.utils import override_settings
    from tokenstore.django import get_store

    with override_settings(TOKENSTORE={"PATH": database, "REALM": "notes"}):
        yield get_store()


@contextlib.contextmanager
def django_served(path):
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    if path == "/async":
        # Django's handler has no lifespan.
        with asgi(without_lifespan(get_asgi_application())) as client:
            yield client
    else:
        with wsgi(get_wsgi_application()) as client:
            yield client


def without_lifespan(app):
    async def wrapped(scope, receive, send):
        if scope["type"] == "lifespan":
            for answer in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{answer}.complete"})
            return
        await app(scope, receive, send)

    return wrapped
