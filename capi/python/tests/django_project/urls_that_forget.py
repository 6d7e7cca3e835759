"""Routes that forget to name their scope, or to demand a token."""

from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView
from tokenstore.django.rest_framework import HasTokenScope, TokenAuthentication


class Nameless(APIView):
    authentication_classes = [TokenAuthentication]
    permission_classes = [HasTokenScope]

    def get(self, request):
        return Response("reached")


class Half(Nameless):
    token_scopes = {"GET": "notes:read"}

    def delete(self, request):
        return Response("reached")


class Open(Nameless):
    permission_classes = []
    token_scopes = "notes:read"


inside = [path("half", Half.as_view()), path("open", Open.as_view())]
urlpatterns = [path("nameless", Nameless.as_view()), path("in/", include(inside))]
