"""The product's addresses, and an empty authenticated view: its key is checked, its rate limit asked, nothing else."""

from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.auth import needs


class Empty(APIView):
    permission_classes = [needs("jobs:read")]

    def get(self, request: Request) -> Response:
        return Response({"empty": True})


urlpatterns = [path("bench/empty", Empty.as_view()), path("", include("config.urls"))]
