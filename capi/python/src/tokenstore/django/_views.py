"""Views of Django itself that demand scopes, plain ones, asynchronous ones and classes."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Callable, Optional, Sequence, Tuple, TypeVar, Union, cast

from django.http import HttpRequest, HttpResponse

from .._bearer import Refusal, checked_scopes
from .._core import Verdict
from ._configuration import opened

_EXAMPLE = '@scope_required("notes:read")'
_View = TypeVar("_View", bound=Callable[..., Any])


def scope_required(*scopes: str) -> Callable[[_View], _View]:
    """For a view: the scopes that it demands, all of them. ``request.token`` is then the valid Verdict.

    The view is exempt from CSRF checks: no browser sends a bearer token by itself.
    """
    needed = checked_scopes(scopes, _EXAMPLE)

    def decorate(view: _View) -> _View:
        if asyncio.iscoroutinefunction(view):

            @functools.wraps(view)
            async def guarded_coroutine(request: HttpRequest, *arguments: Any, **named: Any) -> Any:
                decision = await decide_in_loop(request, needed)
                if isinstance(decision, Refusal):
                    return _response(decision)
                request.token = decision
                return await view(request, *arguments, **named)

            guarded: Any = guarded_coroutine
        else:

            @functools.wraps(view)
            def guarded_function(request: HttpRequest, *arguments: Any, **named: Any) -> Any:
                decision = decide(request, needed)
                if isinstance(decision, Refusal):
                    return _response(decision)
                request.token = decision
                return view(request, *arguments, **named)

            guarded = guarded_function
        guarded.csrf_exempt = True
        return cast(_View, guarded)

    return decorate


class ScopeRequiredMixin:
    """For a class-based view: ``scopes = "notes:read"``, or a dict of a scope for each method.

    A class that can be routed and names no scope is refused by ``as_view()``.
    """

    scopes: Any = None

    @classmethod
    def as_view(cls, **initial: Any) -> Any:
        """The view, which demands the scopes."""
        names = [name for name in cls.http_method_names if hasattr(cls, name)]  # type: ignore[attr-defined]
        needed = {name.upper(): scopes_for(cls.scopes, name.upper(), 'scopes = "notes:read"') for name in names}
        inner = super().as_view(**initial)  # type: ignore[misc]

        @functools.wraps(inner)
        def guarded(request: HttpRequest, *arguments: Any, **named: Any) -> Any:
            method = request.method or ""
            if method in needed:
                decision = decide(request, needed[method])
                if isinstance(decision, Refusal):
                    return _response(decision)
                request.token = decision
            return inner(request, *arguments, **named)  # which answers any other method by 405

        guarded.csrf_exempt = True  # type: ignore[attr-defined]
        return guarded


def scopes_for(declared: Any, method: str, example: str) -> Tuple[str, ...]:
    """The scopes of one method of a class. Raises TypeError or ValueError if it names none."""
    if isinstance(declared, dict):
        for name in {"HEAD": ("HEAD", "GET"), "OPTIONS": ("OPTIONS", "GET", "POST")}.get(method, (method,)):
            if name in declared:
                return scopes_for(declared[name], "", example)
        raise ValueError(f"name the scope of {method}, as in {example}")
    if isinstance(declared, (list, tuple)):
        return checked_scopes(declared, example)
    return checked_scopes((declared,), example) if declared is not None else checked_scopes((), example)


def authorization(request: HttpRequest) -> Sequence[str]:
    value = request.META.get("HTTP_AUTHORIZATION")
    return () if value is None else (value,)


def decide(request: HttpRequest, scopes: Sequence[str]) -> Union[Verdict, Refusal]:
    """The verdict, if it is valid for every scope."""
    this = opened()
    text, refusal = this.challenges.of_header(authorization(request))
    if refusal is not None:
        return refusal
    for scope in scopes:
        verdict = this.store.validate(text, scope, client_address=_address(request))
        if not verdict.valid:
            return this.challenges.refused(verdict, scopes)
    return verdict


async def decide_in_loop(request: HttpRequest, scopes: Sequence[str]) -> Union[Verdict, Refusal]:
    this = opened()
    text, refusal = this.challenges.of_header(authorization(request))
    if refusal is not None:
        return refusal
    for scope in scopes:
        verdict = await this.asynchronous.validate(text, scope, client_address=_address(request))
        if not verdict.valid:
            return this.challenges.refused(verdict, scopes)
    return verdict


def _address(request: HttpRequest) -> Optional[str]:
    return request.META.get("REMOTE_ADDR") or None


def _response(refusal: Refusal) -> HttpResponse:
    response = HttpResponse(refusal.message + "\n", status=refusal.status, content_type="text/plain; charset=utf-8")
    for name, value in refusal.headers.items():
        response[name] = value
    return response
