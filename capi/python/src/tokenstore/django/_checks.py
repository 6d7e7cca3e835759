"""What ``manage.py check`` finds: settings that cannot work, a database that is served, routes that name no scope."""

from __future__ import annotations

import os
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.urls import get_resolver

from ._configuration import current_configuration


@checks.register(checks.Tags.security)
def check_settings(app_configs: Optional[Sequence[Any]] = None, **_: Any) -> List[checks.CheckMessage]:
    """E001: the setting; E002: the database lies where files are served from."""
    configuration = current_configuration()
    found: List[checks.CheckMessage] = []
    found += [checks.Error(problem, id="tokenstore.E001") for problem in configuration.problems]
    path = configuration.path
    if path is not None:
        for setting in ("STATIC_ROOT", "MEDIA_ROOT"):
            folder = getattr(settings, setting, None)
            if folder and _is_inside(path, os.fspath(folder)):
                hint = "Move the database and its key file to a folder that no server serves."
                found.append(checks.Error(f"TOKENSTORE['PATH'] lies inside {setting}", hint=hint, id="tokenstore.E002"))
    return found


def _is_inside(path: str, folder: str) -> bool:
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([path, folder]) == folder


@checks.register(checks.Tags.urls)
def check_routes(app_configs: Optional[Sequence[Any]] = None, **_: Any) -> List[checks.CheckMessage]:
    """E003: a view of Django REST framework that takes tokens names no scope; E004: it lets those in who have none."""
    try:
        from .rest_framework import HasTokenScope, TokenAuthentication, scopes_of
    except ImportError:
        return []
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    found: List[checks.CheckMessage] = []
    for route, callback in _views(get_resolver().url_patterns, ""):
        view = getattr(callback, "cls", None)
        if view is None or not _has(callback, view, "authentication_classes", TokenAuthentication):
            continue
        for method in _methods(callback, view):
            try:
                scopes_of(view, method)
            except ImproperlyConfigured as error:
                found.append(checks.Error(f"the route {route or '/'}: {error}", id="tokenstore.E003"))
        if not _has(callback, view, "permission_classes", HasTokenScope):
            message = f"the route {route or '/'}: the view {view.__name__} takes tokens, but does not demand one"
            hint = "Add HasTokenScope to its permission_classes."
            found.append(checks.Error(message, hint=hint, id="tokenstore.E004"))
    return found


def _views(patterns: Sequence[Any], before: str) -> Iterator[Tuple[str, Any]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from _views(pattern.url_patterns, route)
        else:
            yield route, pattern.callback


def _has(callback: Any, view: Any, attribute: str, wanted: type) -> bool:
    # What as_view() was given stands before what the class says. Classes may be combined by operators: those are left
    # to whoever wrote them.
    classes = getattr(callback, "initkwargs", {}).get(attribute, getattr(view, attribute))
    return any(not isinstance(each, type) or issubclass(each, wanted) for each in classes)


def _methods(callback: Any, view: Any) -> List[str]:
    actions = getattr(callback, "actions", None)
    names = list(actions) if actions else [name for name in view.http_method_names if hasattr(view, name)]
    return sorted({name.upper() for name in names} - {"OPTIONS", "HEAD"})
