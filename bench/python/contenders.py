"""What is measured: each contender recognises one token and says whose it is, in one call without arguments."""

import hashlib
import sqlite3

import itsdangerous
import jwt
import tokenstore
from tokenstore import Actor

SECRET = "a secret of thirty-two characters."
SCOPE = "notes:read"


def empty():
    return "alice"


class Contenders:
    """Everything is hot: one token, which each of them has seen before."""

    def __init__(self, folder):
        self.path = f"{folder}/python.db"
        self.store = tokenstore.open(self.path, cache_bytes=1 << 20)
        issued = self.store.issue(Actor.user("alice"), scopes=[SCOPE])
        self.text = issued.text.reveal()
        self.jwt = jwt.encode({"sub": "alice", "scope": SCOPE, "exp": 4102444800}, SECRET, algorithm="HS256")
        self.signer = itsdangerous.URLSafeTimedSerializer(SECRET)
        self.signed = self.signer.dumps({"sub": "alice", "scope": SCOPE})
        self.rows = sqlite3.connect(f"{folder}/python-rows.db", isolation_level=None)
        columns = "digest BLOB PRIMARY KEY, owner TEXT, scope TEXT"
        self.rows.execute(f"CREATE TABLE IF NOT EXISTS tokens ({columns}) WITHOUT ROWID")
        digests = ((hashlib.sha256(f"{self.text}{i}".encode()).digest(), "bob", SCOPE) for i in range(10_000))
        with self.rows:
            self.rows.execute("BEGIN")
            self.rows.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", digests)
            ours = hashlib.sha256(self.text.encode()).digest()
            self.rows.execute("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", (ours, "alice", SCOPE))
        self.rows.execute("PRAGMA journal_mode = WAL")

    def close(self):
        self.store.close()
        self.rows.close()

    def calls(self):
        """By name: a function that returns the owner, and how many calls make a round."""
        validate, text, decode, token = self.store.validate, self.text, jwt.decode, self.jwt
        loads, signed, execute = self.signer.loads, self.signed, self.rows.execute
        sha256 = hashlib.sha256

        def ours():
            return validate(text, SCOPE).owner

        def by_jwt():
            claims = decode(token, SECRET, algorithms=["HS256"])
            return claims["sub"] if claims["scope"] == SCOPE else None

        def by_itsdangerous():
            claims = loads(signed, max_age=86400)
            return claims["sub"] if claims["scope"] == SCOPE else None

        def by_sqlite():
            owner, scope = execute(
                "SELECT owner, scope FROM tokens WHERE digest = ?", (sha256(text.encode()).digest(),)
            ).fetchone()
            return owner if scope == SCOPE else None

        return {
            "tokenstore": (ours, 100_000),
            "an empty function": (empty, 200_000),
            "itsdangerous": (by_itsdangerous, 5_000),
            "sqlite3 by SHA-256": (by_sqlite, 10_000),
            "PyJWT HS256": (by_jwt, 2_000),
        }
