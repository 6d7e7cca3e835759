"""The same routes three times: as plain views, as coroutines, and with Django REST framework."""

from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views import View
from rest_framework.response import Response
from rest_framework.views import APIView
from tokenstore.django import ScopeRequiredMixin, scope_required
from tokenstore.django.rest_framework import HasTokenScope, TokenAuthentication


def home(request):
    return HttpResponse("open\n")


@scope_required("notes:read")
def who(request):
    return JsonResponse({"owner": request.token.owner})


@scope_required("notes:read")
async def who_async(request):
    return JsonResponse({"owner": request.token.owner})


@scope_required("notes:read", "notes:write")
def both(request):
    return JsonResponse({"owner": request.token.owner})


class Who(ScopeRequiredMixin, View):
    scopes = {"GET": "notes:read", "POST": ("notes:read", "notes:write")}

    def get(self, request):
        return JsonResponse({"owner": request.token.owner})

    def post(self, request):
        return JsonResponse({"owner": request.token.owner}, status=201)


class WhoApi(APIView):
    authentication_classes = [TokenAuthentication]
    permission_classes = [HasTokenScope]
    token_scopes = {"GET": "notes:read", "POST": ["notes:read", "notes:write"]}

    def get(self, request):
        return Response({"owner": request.user.owner, "token": request.auth.id})

    def post(self, request):
        return Response({"owner": str(request.user)}, status=201)


urlpatterns = [
    path("", home),
    path("who", who),
    path("both", both),
    path("async/who", who_async),
    path("class/who", Who.as_view()),
    path("rest/who", WhoApi.as_view()),
]
