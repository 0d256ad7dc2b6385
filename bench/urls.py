"""The product's addresses, and two that do nothing: an API view whose key is checked and whose rate limit is asked, and
a page behind the dashboard's door.
"""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.auth import needs
from accounts.tenancy import Caller, org_view


class Empty(APIView):
    permission_classes = [needs("jobs:read")]

    def get(self, request: Request) -> Response:
        return Response({"empty": True})


@org_view("jobs:read")
def page(request: HttpRequest, caller: Caller) -> HttpResponse:
    return HttpResponse("empty")


urlpatterns = [
    path("bench/empty", Empty.as_view()),
    path("bench/page", page),
    path("", include("config.urls")),
]
