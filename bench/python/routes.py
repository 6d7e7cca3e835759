"""A FastAPI application with one route, which BENCH_ROUTE makes one of three: without a dependency, with one of FastAPI's that
does nothing, and with ours. For uvicorn."""

import os

import tokenstore
from fastapi import FastAPI, Security
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection
from tokenstore import Verdict
from tokenstore.fastapi import protect, token

app = FastAPI()
kind = os.environ["BENCH_ROUTE"]


class Nothing:
    async def __call__(self, request: HTTPConnection, security_scopes: SecurityScopes) -> str:
        return "alice"


if kind == "guarded":
    protect(app, tokenstore.open(os.environ["BENCH_TOKENS"]))

    @app.get("/who")
    async def guarded(verdict: Verdict = Security(token, scopes=["notes:read"])):
        return {"owner": verdict.owner}

elif kind == "empty":

    @app.get("/who")
    async def empty(owner: str = Security(Nothing(), scopes=["notes:read"])):
        return {"owner": owner}

else:

    @app.get("/who")
    async def unguarded():
        return {"owner": "alice"}
