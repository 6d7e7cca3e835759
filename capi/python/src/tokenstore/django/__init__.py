"""Django: views that demand a scope of a bearer token, settings that are checked, and ``manage.py tokenstore``.

    INSTALLED_APPS = [..., "tokenstore.django"]
    TOKENSTORE = {"PATH": BASE_DIR / "tokens.db", "REALM": "notes"}

    @scope_required("notes:read")
    def notes(request):
        return JsonResponse({"notes": notes_of(request.token.owner)})

A view that names no scope cannot be made. For Django REST framework there is ``tokenstore.django.rest_framework``.
"""

from ._configuration import get_store
from ._views import ScopeRequiredMixin, scope_required

__all__ = ["ScopeRequiredMixin", "get_store", "scope_required"]
