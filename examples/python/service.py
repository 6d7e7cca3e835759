"""Notes over HTTP: a FastAPI service whose people issue, list and revoke tokens, and whose routes each demand a scope.

    NOTES_ACCOUNTS='alice:her-password bob:his-password' \\
    gunicorn --preload --workers 2 --worker-class uvicorn.workers.UvicornWorker --bind 127.0.0.1:8080 service:app

With a name and a password a person makes tokens; with a token a program reads and writes notes. Bearer tokens and
passwords belong behind TLS: put a reverse proxy in front of it.
"""

import logging
import os
from datetime import timedelta
from typing import Any, Dict, List

import tokenstore
from accounts import person
from fastapi import Depends, FastAPI, HTTPException, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from notes import Notes
from pydantic import BaseModel, Field
from tokenstore import Actor, Token, Verdict
from tokenstore.aio import AsyncTokenStore
from tokenstore.fastapi import protect, store_of, token

SCOPES = ("notes:read", "notes:write", "profile:read")
LARGEST_NOTE = 64 * 1024

# Opened once, before gunicorn forks: a store that was open before works in every worker.
store = tokenstore.open(os.environ.get("NOTES_TOKENS", "tokens.db"), upkeep_thread=True)
notes = Notes(os.environ.get("NOTES_DATABASE", "notes.db"))
app = FastAPI(title="Notes", description="Short notes, each owner their own.")
protect(app, store, realm="notes")

# Why a token was refused is for this log alone: clients are told no more than RFC 6750 has them told.
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
if store.created_key_file is not None:
    logging.warning("made a new key file, back it up: %s", store.created_key_file)


class NewToken(BaseModel):
    """What a person says of a new token."""

    description: str = Field(max_length=200)
    scopes: List[str]
    days: int = Field(30, ge=1, le=365)


@app.middleware("http")
async def keep_out_of_caches(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers["Cache-Control"] = "no-store"
    return response


@app.exception_handler(tokenstore.Unavailable)
async def unavailable(request: Request, error: tokenstore.Unavailable) -> Response:
    logging.error("%s", error)
    return Response("try again\n", 503, {"Retry-After": "1"}, media_type="text/plain")


@app.exception_handler(tokenstore.InvalidArgument)
async def invalid(request: Request, error: tokenstore.InvalidArgument) -> Response:
    return JSONResponse({"detail": str(error)}, 422)


@app.exception_handler(tokenstore.Refused)
async def refused(request: Request, error: tokenstore.Refused) -> Response:
    return JSONResponse({"detail": str(error)}, 409)


@app.get("/")
async def home() -> Dict[str, str]:
    return {"notes": "GET, POST or DELETE /notes, GET /whoami, DELETE /token with a token; /tokens with a password"}


# ---- For people: their tokens. No token makes another, or it could make a stronger one.


@app.post("/tokens", status_code=201)
async def issue(new: NewToken, name: str = Depends(person), store: AsyncTokenStore = Depends(store_of)) -> Dict[str, Any]:
    if not new.scopes or not set(new.scopes) <= set(SCOPES):
        raise HTTPException(422, f"name one or more of the scopes {', '.join(SCOPES)}")
    issued = await store.issue(
        Actor.user(name), scopes=new.scopes, description=new.description, lifetime=timedelta(days=new.days)
    )
    # The only time that the text is shown: it is kept nowhere.
    return {"token": issued.text.reveal(), **shown(issued.token)}


@app.get("/tokens")
async def list_tokens(
    cursor: str = "", name: str = Depends(person), store: AsyncTokenStore = Depends(store_of)
) -> Dict[str, Any]:
    page = await store.list(Actor.user(name), limit=50, cursor=cursor)
    return {"tokens": [shown(each) for each in page], "next": page.next}


@app.delete("/tokens/{id}", status_code=204)
async def revoke(id: str, name: str = Depends(person), store: AsyncTokenStore = Depends(store_of)) -> Response:
    try:
        await store.revoke(Actor.user(name), id, "by its owner")
    except (tokenstore.NotFound, tokenstore.InvalidArgument):
        raise HTTPException(404, "there is no such token of yours") from None
    return Response(status_code=204)


def shown(one: Token) -> Dict[str, Any]:
    return {
        "id": one.id,
        "description": one.description,
        "scopes": one.scopes,
        "state": str(one.state),
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "last_used_at": one.last_used_at,
        "last_used_from": one.last_used_from,
    }


# ---- For programs: each route demands a scope.


@app.get("/whoami", responses=token.responses)
async def whoami(verdict: Verdict = Security(token, scopes=["profile:read"])) -> Dict[str, Any]:
    return {"owner": verdict.owner, "token": verdict.id, "scopes": verdict.scopes}


@app.delete("/token", status_code=204, responses=token.responses)
async def end_itself(
    verdict: Verdict = Security(token, scopes=["profile:read"]), store: AsyncTokenStore = Depends(store_of)
) -> Response:
    """Whoever finds a token can end it."""
    await store.revoke(Actor.user(verdict.owner), verdict.id, "by itself")
    return Response(status_code=204)


@app.get("/notes", responses=token.responses)
def read_notes(verdict: Verdict = Security(token, scopes=["notes:read"])) -> Dict[str, List[str]]:
    return {"notes": notes.of(verdict.owner)}


@app.post("/notes", status_code=201, responses=token.responses)
async def add_note(
    request: Request, verdict: Verdict = Security(token, scopes=["notes:write"])
) -> Dict[str, List[str]]:
    """The body is the note, as it is."""
    note = bytearray()
    async for part in request.stream():
        note += part
        if len(note) > LARGEST_NOTE:
            raise HTTPException(413, f"a note has at most {LARGEST_NOTE} octets")
    if not await run_in_threadpool(notes.add, verdict.owner, note.decode(errors="replace")):
        raise HTTPException(409, "too many notes: delete them first")
    return {"notes": await run_in_threadpool(notes.of, verdict.owner)}


@app.delete("/notes", status_code=204, responses=token.responses)
def clear_notes(verdict: Verdict = Security(token, scopes=["notes:write"])) -> Response:
    notes.clear(verdict.owner)
    return Response(status_code=204)
