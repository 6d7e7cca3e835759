"""The application "tokenstore.django"."""

from django.apps import AppConfig


class TokenstoreConfig(AppConfig):
    """Registers the checks of the settings and of the routes."""

    name = "tokenstore.django"
    label = "tokenstore"
    verbose_name = "Access tokens"

    def ready(self) -> None:
        from . import _checks  # noqa: F401  # registers itself
