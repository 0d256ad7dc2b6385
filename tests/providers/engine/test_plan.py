"""Frame sizes and clip counts, without rendering."""

from __future__ import annotations

import subprocess
import sys

import pytest

from providers.local.worker.talking_portrait.plan import TARGET_AREA, plan

from . import rendering

SHAPES = [(512, 512), (1920, 1080), (1080, 1920), (4000, 3000), (3, 4), (1000, 250), (640, 480), (333, 777)]


@pytest.mark.parametrize("resolution", TARGET_AREA)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_frames_keep_the_pictures_shape_within_the_area(shape, resolution):
    found = plan(1, *shape, resolution)
    assert found.width % 16 == found.height % 16 == 0
    assert 0.9 * TARGET_AREA[resolution] <= found.width * found.height <= TARGET_AREA[resolution]
    assert found.width / found.height == pytest.approx(shape[0] / shape[1], rel=0.015)


def test_wide_screen_is_what_it_is_called():
    assert (plan(1, 1920, 1080, "720p").width, plan(1, 1920, 1080, "720p").height) == (1280, 720)


def test_clips_cover_every_frame_once():
    found = plan(12.53, 512, 512, "480p", fps=25, frames_per_clip=125)
    frames = [frame for clip in range(found.clips) for frame in found.clip_frames(clip)]
    assert frames == list(range(313))
    assert found.clips == 3


def test_planning_needs_no_media_library():
    code = "import sys; from providers.local.worker.talking_portrait import plan; print('cv2' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=rendering.ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"
