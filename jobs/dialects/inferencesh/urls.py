"""Addresses at the root of our host and below /infsh/, none with a slash at its end."""

from __future__ import annotations

from django.urls import path

from jobs.dialects.inferencesh import intake
from jobs.dialects.inferencesh.views import files, sessions, tasks

urlpatterns = [
    path("apps/run", tasks.Run.as_view()),
    path("tasks/<str:task_id>", tasks.Task.as_view()),
    path("tasks/<str:task_id>/stream", tasks.Stream.as_view()),
    path("tasks/<str:task_id>/cancel", tasks.Cancel.as_view()),
    path("tasks/<str:task_id>/status", tasks.Status.as_view()),
    path("tasks/<str:task_id>/logs", tasks.Logs.as_view()),
    path("tasks/<str:task_id>/timings", tasks.Timings.as_view()),
    path("tasks/<str:task_id>/files", files.TaskFiles.as_view()),
    path("files", files.Files.as_view()),
    path("sessions", sessions.Sessions.as_view()),
    path("sessions/<str:session_id>", sessions.Session.as_view()),
    path("sessions/<str:session_id>/keepalive", sessions.KeepAlive.as_view()),
    path("uploads/<str:token>", intake.upload),
]
