"""The addresses that serve and take files; jobs/urls.py mounts `urlpatterns`."""

from django.urls import path

from jobs.files.intake import storage_object
from jobs.files.views import asset_file

urlpatterns = [
    path("files/<uuid:asset_id>/<str:token>/<str:name>", asset_file, name="asset-file"),
    path("storage/<str:token>", storage_object, name="storage-object"),
]
