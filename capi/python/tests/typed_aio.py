"""Uses tokenstore.aio, the guards and tokenstore.testing, for the type checkers: `mypy --strict` has nothing to say."""

import asyncio
from datetime import timedelta
from typing import List, Optional, Tuple

import tokenstore
from flask import Flask
from starlette.requests import Request
from starlette.responses import JSONResponse
from tokenstore import Actor, Issued, Owner, Page, Token, Verdict, aio
from tokenstore.flask import Tokens, current_token
from tokenstore.starlette import Guard
from tokenstore.testing import FaultyStorage, open_faulty


async def use(store: aio.AsyncTokenStore, alice: Actor) -> None:
    issued: Issued = await store.issue(alice, scopes=["read"], lifetime=timedelta(days=1))
    verdict: Verdict = await store.validate(issued.text, "read", client_address="192.0.2.1")
    quick: Optional[Verdict] = store.try_validate(issued.text, "read")
    tokens: List[Token] = [token async for token in store.list(alice)]
    page: Page[Token] = await store.list(alice, limit=10)
    owners: List[Owner] = [owner async for owner in store.list_owners(Actor.host())]
    print(verdict.valid, quick is None, len(tokens), page.next, [owner.owner for owner in owners])
    token: Token = await store.revoke(alice, issued.id, "lost")
    many: Tuple[Issued, ...] = await store.issue_many(Actor.host(), [tokenstore.Request("bob", ["read"])])
    print(token.state, many[0].id, store.store.closed)


async def main() -> None:
    async with aio.open_memory(workspace="acme", threads=2) as store:
        await use(store, Actor.user("alice"))
    opened: aio.AsyncTokenStore = await aio.open_memory()
    guard = Guard(opened, realm="notes")

    @guard("notes:read", "notes:write")
    async def notes(request: Request) -> JSONResponse:
        verdict: Verdict = request.state.token
        return JSONResponse({"owner": verdict.owner})

    print(notes.__name__)
    await opened.close()


def flask_app() -> Flask:
    storage: FaultyStorage
    store, storage = open_faulty(clock=tokenstore.ManualClock())
    app = Flask("notes")
    tokens = Tokens(app, store, realm="notes")

    @app.get("/notes")
    @tokens.required("notes:read")
    def notes() -> str:
        return current_token.owner

    with storage.failing(), storage.waiting(timedelta(milliseconds=1)):
        print(storage.calls, notes.__name__)
    return app


asyncio.run(main())
flask_app()
print("all of it worked")
