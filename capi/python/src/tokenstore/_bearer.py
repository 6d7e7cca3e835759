"""Bearer tokens over HTTP (RFC 6750), for every framework alike: what a client sent, and how it is refused.

Internal: what frameworks offer of it is in the modules named after them.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Set, Tuple

from ._core import Verdict

_log = logging.getLogger("tokenstore")
_SCHEME = "bearer "
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
_REALM = re.compile(r'[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}')


@dataclass(frozen=True)
class Refusal:
    """An answer that a client gets instead of what it asked for. It says no more than a client may know."""

    status: int
    message: str
    headers: Dict[str, str]


class Challenges:
    """The refusals of one realm."""

    def __init__(self, realm: str) -> None:
        if not isinstance(realm, str):
            raise TypeError(f"realm must be a str, not {type(realm).__name__}")
        if _REALM.fullmatch(realm) is None:
            raise ValueError("realm must be 1 to 64 printable characters of ASCII, without quotes and backslashes")
        self.realm = realm
        self.challenge = f'Bearer realm="{realm}"'

    def of_header(self, values: Sequence[str]) -> Tuple[str, Optional[Refusal]]:
        """The token's text from the request's Authorization headers, or the refusal."""
        if len(values) > 1:
            return "", self.ambiguous()
        if self.without_token(values):
            return "", self.nothing()
        text = values[0][len(_SCHEME) :].lstrip(" ")
        # Several headers reach a WSGI application as one, with commas between; no token has one.
        return (text, None) if text and "," not in text else ("", self.ambiguous())

    @staticmethod
    def without_token(values: Sequence[str]) -> bool:
        """No header, or one of another scheme."""
        return not values or (values[0] + " ")[: len(_SCHEME)].lower() != _SCHEME

    def nothing(self) -> Refusal:
        """Without a token there is nothing wrong with: RFC 6750 section 3.1 wants no error code here."""
        return self._refusal(401, "a bearer token is required", "")

    def ambiguous(self) -> Refusal:
        return self._refusal(
            400, "send one Authorization header, with one bearer token", ', error="invalid_request"'
        )

    def refused(self, verdict: Verdict, scopes: Sequence[str]) -> Refusal:
        """The refusal of a verdict that is not valid for one of the scopes."""
        status = verdict.http_status
        # For the audit log alone: nothing in it is a word of the client's.
        level = logging.WARNING if status == 503 else logging.INFO
        _log.log(level, "a token was refused: %s%s", verdict.reason, f", token {verdict.id}" if verdict.id else "")
        if status == 503:
            # Nobody knows whether the token is good: do not call it bad, or clients throw it away.
            return Refusal(503, "try again", {"Retry-After": "1", "Cache-Control": "no-store"})
        if status == 403:
            needed = " ".join(scopes)
            return self._refusal(
                403, "the token does not grant what this needs", f', error="insufficient_scope", scope="{needed}"'
            )
        # One answer for unknown, expired, revoked and forged: the reason is for the log alone.
        return self._refusal(
            401, "the token is not valid", ', error="invalid_token", error_description="the token is not valid"'
        )

    def _refusal(self, status: int, message: str, parameters: str) -> Refusal:
        return Refusal(
            status, message, {"WWW-Authenticate": self.challenge + parameters, "Cache-Control": "no-store"}
        )


def checked_scope(scope: object, example: str) -> str:
    """A scope that a route names. What is wrong with it is said where the route is made, not when it is asked for."""
    if not isinstance(scope, str):
        raise TypeError(f"name the scope that the route needs, as in {example}, not {type(scope).__name__}")
    if _SCOPE.fullmatch(scope) is None:
        raise ValueError(
            "a scope is one word of 1 to 128 characters of ASCII, without spaces, quotes and backslashes,"
            f" as in {example}"
        )
    return scope


_checked: Set[Tuple[str, ...]] = set()


def checked_again(scopes: Sequence[str], example: str) -> Sequence[str]:
    """The same for scopes that come with every request: those of a route are looked at once."""
    known = tuple(scopes)
    if known not in _checked:
        checked_scopes(known, example)
        _checked.add(known)
    return known


def checked_scopes(scopes: Sequence[object], example: str) -> Tuple[str, ...]:
    if not scopes:
        raise ValueError(f"name the scope that the route needs, as in {example}")
    return tuple(checked_scope(scope, example) for scope in scopes)
