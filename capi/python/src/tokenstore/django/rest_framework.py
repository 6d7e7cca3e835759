"""Django REST framework: authentication and permission classes for bearer tokens.

    class Notes(APIView):
        authentication_classes = [TokenAuthentication]
        permission_classes = [HasTokenScope]
        token_scopes = {"GET": "notes:read", "POST": "notes:write"}

        def get(self, request):
            return Response(notes_of(request.auth.owner))

``request.auth`` is the valid Verdict, ``request.user`` a TokenUser. A view that names no scope is an error of
``manage.py check``, and its requests end in ImproperlyConfigured: none is let through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple

from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission

from .._bearer import Refusal
from .._core import Verdict
from ._configuration import opened
from ._views import authorization, decide, scopes_for

__all__ = ["HasTokenScope", "TokenAuthentication", "TokenRefused", "TokenUser", "scopes_of"]

_EXAMPLE = 'token_scopes = {"GET": "notes:read"}'


@dataclass(frozen=True)
class TokenUser:
    """Whose account the token acts for. It is no row of a table: overwrite ``TokenAuthentication.user_of`` for that."""

    owner: str
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True
    is_staff: bool = False

    @property
    def pk(self) -> str:
        """The owner: what throttles count by."""
        return self.owner

    def get_username(self) -> str:
        """The owner."""
        return self.owner

    def __str__(self) -> str:
        return self.owner


class TokenRefused(APIException):
    """The refusal, as RFC 6750 has it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.status_code = refusal.status
        # The framework's exception handler makes headers of these two.
        self.auth_header: Optional[str] = refusal.headers.get("WWW-Authenticate")
        if "Retry-After" in refusal.headers:
            self.wait = int(refusal.headers["Retry-After"])


def scopes_of(view: Any, method: str) -> Tuple[str, ...]:
    """The scopes that a view or a class of views names for a method. Raises ImproperlyConfigured if it names none."""
    name = view.__name__ if isinstance(view, type) else type(view).__name__
    try:
        return scopes_for(getattr(view, "token_scopes", None), method, _EXAMPLE)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"the view {name}: {error}") from None


class TokenAuthentication(BaseAuthentication):
    """Validates the bearer token for the scope that the view names: one decision. No token is nobody."""

    def authenticate(self, request: Any) -> Optional[Tuple[Any, Verdict]]:
        """The user and the verdict; None without a token. Raises TokenRefused."""
        scopes = scopes_of(request.parser_context["view"], request.method)
        if opened().challenges.without_token(authorization(request)):
            return None
        decision = decide(request, scopes)
        if isinstance(decision, Refusal):
            raise TokenRefused(decision)
        return self.user_of(decision), decision

    def authenticate_header(self, request: Any) -> str:
        """What a request without a token is answered with."""
        return opened().challenges.challenge

    def user_of(self, verdict: Verdict) -> Any:
        """Who ``request.user`` is. Overwrite it to look the owner up in a table of yours."""
        return TokenUser(verdict.owner)


class HasTokenScope(BasePermission):
    """Lets only those in who have brought a token that is valid for the view's scope."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """Whether the request was authenticated by a token."""
        scopes_of(view, request.method)
        return isinstance(request.auth, Verdict) and request.auth.valid
