"""Addresses below /api/v1/, each with and without a slash at its end: a redirect would turn a POST into a GET."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path, re_path

from jobs.dialects.dashscope.views import detection, tasks, uploads

app_name = "dashscope"


def both(route: str, view: Any, name: str) -> list[URLPattern]:
    return [path(route, view.as_view(), name=name), path(f"{route}/", view.as_view(), name=f"{name}_slash")]


urlpatterns = [
    *both("services/aigc/image2video/face-detect", detection.FaceDetect, "face_detect"),
    *both("services/aigc/image2video/video-synthesis", tasks.VideoSynthesis, "video_synthesis"),
    *both("services/aigc/video-generation/video-synthesis", tasks.VideoSynthesis, "video_generation"),
    *both("tasks", tasks.Tasks, "tasks"),
    *both("tasks/<str:task_id>", tasks.Task, "task"),
    *both("tasks/<str:task_id>/cancel", tasks.Cancel, "cancel"),
    *both("uploads", uploads.Policy, "uploads"),
    path("uploads/form", uploads.Form.as_view(), name="upload_form"),
    re_path(r"^(?P<path>(?s:.*))$", tasks.Nothing.as_view(), name="nothing"),
]
