"""Who may log in. A real service has its own accounts; these come from the environment, as "name:password" words."""

import hmac
import os
from typing import Dict

from fastapi import Depends, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials


def passwords() -> Dict[str, str]:
    words = os.environ.get("NOTES_ACCOUNTS", "").split()
    return dict(word.split(":", 1) for word in words if ":" in word)


def person(given: HTTPBasicCredentials = Depends(HTTPBasic(realm="people"))) -> str:
    """The name of whoever has sent the right password."""
    expected = passwords().get(given.username, "")
    same = hmac.compare_digest(expected.encode(), given.password.encode())
    if not (expected and same):
        raise HTTPException(401, "wrong name or password", {"WWW-Authenticate": 'Basic realm="people"'})
    return given.username
