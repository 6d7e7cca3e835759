"""A route names its scope or does not start; and what each framework shows of it besides."""

import asyncio

import flask
import pytest
import serving
import tokenstore
import tokenstore.fastapi
import tokenstore.flask
import tokenstore.starlette
from conftest import ALICE, HOST
from fastapi import APIRouter, Depends, FastAPI, Security
from tokenstore import Verdict, aio
from tokenstore.fastapi import BearerToken, protect, store_of, token

BAD_SCOPES = [((None,), TypeError), *((scopes, ValueError) for scopes in ((), ("",), ("two words",), ('"',)))]


def start(app):
    """Starts and ends an application, as a server does."""

    async def main():
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(main())


# ---- FastAPI


def who(verdict: Verdict = Security(token, scopes=["notes:read"])):
    return {"owner": verdict.owner}


def forgetful(verdict: Verdict = Depends(token)):
    return {"owner": verdict.owner}


def test_a_fastapi_route_without_a_scope_keeps_the_application_from_starting(memory):
    def through_another(verdict: dict = Depends(forgetful)):
        return verdict

    for endpoint in (forgetful, through_another, lambda verdict=Security(token, scopes=[]): None):
        app = FastAPI()
        protect(app, memory)
        app.get("/good")(who)
        start(app)
        app.get("/bad")(endpoint)
        with pytest.raises(ValueError, match=r"the route /bad: name the scope that the route needs, as in Security"):
            start(app)


def test_a_scope_that_is_none_keeps_it_from_starting_too(memory):
    app = FastAPI()
    protect(app, memory)
    app.get("/bad")(lambda verdict=Security(token, scopes=["two words"]): None)
    with pytest.raises(ValueError, match="the route /bad: a scope is one word"):
        start(app)


def test_the_scope_may_come_from_the_route_above(memory):
    app = FastAPI()
    protect(app, memory)
    app.get("/good")(lambda owner=Security(forgetful, scopes=["notes:read"]): None)
    start(app)


def test_a_forgetful_route_in_an_application_that_is_mounted_or_included_is_found(memory):
    inner, router = FastAPI(), APIRouter(prefix="/part")
    protect(inner, memory)
    inner.get("/bad")(forgetful)
    outer = FastAPI()
    protect(outer, memory)
    outer.mount("/inner", inner)
    with pytest.raises(ValueError, match="the route /bad"):
        start(outer)
    router.get("/bad")(forgetful)
    app = FastAPI()
    protect(app, memory)
    app.include_router(router)
    with pytest.raises(ValueError, match="the route /part/bad"):
        start(app)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_forgetful_route_that_was_added_later_lets_nobody_in(memory):
    app = FastAPI()
    protect(app, memory)
    text = memory.issue(ALICE, scopes=["notes:read"]).text.reveal()
    with serving.asgi(app) as client:
        app.get("/late")(forgetful)
        app.get("/good")(who)
        assert client.ask_as(text, "/late").status == 500
        assert client.ask_as(text, "/good").status == 200


def test_an_application_without_a_store_lets_nobody_in(memory):
    app = FastAPI()
    app.get("/who")(who)
    with serving.asgi(app) as client:
        assert client.ask_as(memory.issue(ALICE, scopes=["notes:read"]).text.reveal(), "/who").status == 500


def test_the_description_of_a_fastapi_application_names_the_scheme_and_its_answers(memory):
    app = FastAPI()
    protect(app, memory)
    app.get("/who", responses=token.responses)(who)
    app.get("/open")(lambda: None)
    described = app.openapi()
    assert described["components"]["securitySchemes"] == {
        "bearerToken": {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token, sent as `Authorization: Bearer TOKEN`.",
        }
    }
    operation = described["paths"]["/who"]["get"]
    # OpenAPI 3.0: the list is empty for a scheme that is neither OAuth 2 nor OpenID Connect.
    assert operation["security"] == [{"bearerToken": []}]
    assert {"200", "400", "401", "403", "503"} <= set(operation["responses"])
    assert "parameters" not in operation and "requestBody" not in operation
    assert "security" not in described["paths"]["/open"]["get"]


def test_a_store_is_opened_and_closed_with_the_application(tmp_path):
    app = FastAPI()
    protect(app, aio.open(tmp_path / "tokens.db"), realm="notes")
    opened = []

    @app.post("/tokens")
    async def issue(store: aio.AsyncTokenStore = Depends(store_of)):
        opened.append(store)
        return (await store.issue(ALICE, scopes=["notes:read"])).text.reveal()

    app.get("/who")(who)
    with serving.asgi(app) as client:
        text = client.ask("/tokens", method="POST").body.decode().strip('"')
        assert client.ask_as(text, "/who").status == 200
        assert not opened[0].closed
    assert opened[0].closed
    with pytest.raises(RuntimeError, match="the store is not open"):
        store_of(type("Request", (), {"app": app}))


def test_a_lifespan_of_the_application_s_own_still_runs(memory):
    from contextlib import asynccontextmanager

    seen = []

    @asynccontextmanager
    async def lifespan(app):
        seen.append("began")
        yield
        seen.append("ended")

    app = FastAPI()
    app.router.lifespan_context = lifespan  # newer versions: FastAPI(lifespan=lifespan)
    protect(app, memory)
    start(app)
    assert seen == ["began", "ended"] and not memory.closed


def test_wrong_arguments_of_protect_say_what_to_pass(memory):
    with pytest.raises(TypeError, match="store must be a store or a tokenstore.aio.open"):
        protect(FastAPI(), "tokens.db")
    with pytest.raises(ValueError, match="realm must be"):
        protect(FastAPI(), memory, realm='a"b')
    with pytest.raises(TypeError, match="realm must be a str"):
        protect(FastAPI(), memory, realm=None)
    assert isinstance(token, BearerToken)


# ---- Starlette and Flask


@pytest.mark.parametrize("scopes, error", BAD_SCOPES)
def test_a_guard_needs_scopes(memory, scopes, error):
    with pytest.raises(error, match="scope"):
        tokenstore.starlette.Guard(memory)(*scopes)
    with pytest.raises(error, match="scope"):
        tokenstore.flask.Tokens().required(*scopes)


def test_a_guard_that_is_used_without_parentheses_says_how_to_name_the_scope(memory):
    async def endpoint(request):
        return None

    with pytest.raises(TypeError, match=r'name the scope that the route needs, as in @guard\("notes:read"\)'):
        tokenstore.starlette.Guard(memory)(endpoint)
    with pytest.raises(TypeError, match=r'as in @tokens.required\("notes:read"\)'):
        tokenstore.flask.Tokens().required(lambda: None)
    with pytest.raises(TypeError, match="async def"):
        tokenstore.starlette.Guard(memory)("notes:read")(lambda request: None)


def test_one_extension_serves_several_flask_applications_each_with_its_own_store(memory):
    tokens = tokenstore.flask.Tokens()
    other = tokenstore.open_memory()
    apps = []
    for store in (memory, other):
        app = flask.Flask("notes")
        tokens.init_app(app, store)
        app.get("/who")(tokens.required("notes:read")(lambda: tokenstore.flask.current_token.owner))
        apps.append(app)
    text = memory.issue(ALICE, scopes=["notes:read"]).text.reveal()
    header = {"Authorization": f"Bearer {text}"}
    assert [app.test_client().get("/who", headers=header).status_code for app in apps] == [200, 401]
    other.close()


def test_flask_without_a_store_or_outside_a_guarded_view_raises(memory):
    app = flask.Flask("notes")
    tokens = tokenstore.flask.Tokens()
    app.get("/who")(tokens.required("notes:read")(lambda: "reached"))
    app.get("/open", endpoint="open")(lambda: tokenstore.flask.current_token.owner)
    app.testing = True
    with pytest.raises(RuntimeError, match="call init_app"):
        app.test_client().get("/who")
    tokens.init_app(app, memory)
    with pytest.raises(RuntimeError, match="there is no token here"):
        app.test_client().get("/open")
    with pytest.raises(TypeError, match="needs the store"):
        tokenstore.flask.Tokens(app)
    with pytest.raises(TypeError, match="init_app"):
        tokenstore.flask.Tokens(store=memory)
    with pytest.raises(TypeError, match="store must be a TokenStore, not str"):
        tokens.init_app(app, "tokens.db")


def test_a_revoked_token_is_refused_by_the_very_next_request(memory):
    app = flask.Flask("notes")
    tokens = tokenstore.flask.Tokens(app, memory)
    app.get("/who")(tokens.required("notes:read")(lambda: "reached"))
    client = app.test_client()
    for _ in range(50):
        issued = memory.issue(ALICE, scopes=["notes:read"])
        header = {"Authorization": f"Bearer {issued.text.reveal()}"}
        assert client.get("/who", headers=header).status_code == 200
        memory.revoke(HOST, issued.id)
        assert client.get("/who", headers=header).status_code == 401
