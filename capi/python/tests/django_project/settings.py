"""What a small project sets. The tests say by the environment where the database is."""

import os

SECRET_KEY = "of the tests alone"
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = os.environ.get("DJANGO_PROJECT_URLS", "django_project.urls")
INSTALLED_APPS = ["rest_framework", "tokenstore.django"]
MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
REST_FRAMEWORK = {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"], "UNAUTHENTICATED_USER": None}
TOKENSTORE = {"PATH": os.environ["DJANGO_PROJECT_DATABASE"], "REALM": "notes"}
MEDIA_ROOT = os.environ.get("DJANGO_PROJECT_MEDIA", "")
