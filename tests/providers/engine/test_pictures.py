"""Pictures of many kinds: shapes, formats, small faces, drawings."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from bench import lipsync

from . import drawing, rendering


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return cv2.imread(str(rendering.PORTRAIT))


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return rendering.speech(tmp_path_factory.mktemp("voice") / "voice", 1.6)


def speaks(run: rendering.Run, box: tuple[int, int, int] | None = None) -> float:
    assert run.exit == 0, run.last() or run.stderr
    frames = lipsync.gray_frames(run.output)
    opening = lipsync.mouth_opening(frames, box)
    assert np.ptp(opening) > 5, "the mouth hardly moves"
    return lipsync.compare(
        opening, lipsync.loudness(run.workdir / "in/audio", 25, len(frames)), 25
    ).correlation


def test_a_drawing_speaks(tmp_path, voice):
    run = rendering.render(tmp_path, rendering.write_picture(tmp_path / "p", drawing.cartoon()), voice)
    assert run.exit == 0, run.last() or run.stderr
    frames = lipsync.gray_frames(run.output)
    energy = lipsync.loudness(voice, 25, len(frames))
    opening = lipsync.mouth_change(frames, still=int(energy.argmin()))
    assert opening.max() > 5, "the mouth hardly moves"
    assert lipsync.compare(opening, energy, 25).correlation >= 0.6


def test_a_small_face_in_a_wide_picture_speaks(tmp_path, voice, portrait):
    small = cv2.resize(portrait, None, fx=0.45, fy=0.45, interpolation=cv2.INTER_AREA)  # the face: 42 px
    wide = cv2.copyMakeBorder(small, 40, 0, 100, 100, cv2.BORDER_REPLICATE)
    run = rendering.render(tmp_path, rendering.write_picture(tmp_path / "p", wide), voice)
    assert speaks(run) >= 0.6


@pytest.mark.parametrize("degrees", [-22, 18])
def test_a_tilted_head_speaks(tmp_path, voice, portrait, degrees):
    turn = cv2.getRotationMatrix2D((225, 115), degrees, 1)
    tilted = cv2.warpAffine(portrait, turn, (512, 512), borderMode=cv2.BORDER_REFLECT)
    run = rendering.render(tmp_path, rendering.write_picture(tmp_path / "p", tilted), voice)
    # The face turns about (225, 115) and stays there, so the upright face's box still holds it.
    scale = 624 / 512
    assert speaks(run, (round(178 * scale), round(67 * scale), round(92 * scale))) >= 0.6


@pytest.mark.parametrize("kind", ["rgba", "cmyk", "grey", "sixteen-bit", "palette", "animated", "turned"])
def test_every_kind_of_picture_file_is_read(tmp_path, voice, kind):
    rgb = Image.open(rendering.PORTRAIT).convert("RGB")
    path = tmp_path / "picture"
    if kind == "rgba":
        rgb.putalpha(200)
        rgb.save(path, "PNG")
    elif kind == "cmyk":
        rgb.convert("CMYK").save(path, "JPEG")
    elif kind == "grey":
        rgb.convert("L").save(path, "JPEG")
    elif kind == "sixteen-bit":
        Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257).save(path, "PNG")
    elif kind == "palette":
        rgb.quantize(128).save(path, "PNG")
    elif kind == "animated":
        frames = [rgb, Image.new("RGB", rgb.size, "black")]
        frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])
    else:
        exif = Image.Exif()
        exif[0x0112] = 6  # "turn 90 degrees clockwise to see it upright"
        rgb.rotate(90, expand=True).save(path, "JPEG", exif=exif)
    short = rendering.speech(tmp_path / "short", 0.4)
    run = rendering.render(tmp_path, path, short)
    assert run.exit == 0, run.last()
    first = cv2.resize(rendering.frames_of(run.output)[0], (128, 128), interpolation=cv2.INTER_AREA)
    shown = cv2.resize(np.asarray(rgb.convert("RGB"))[:, :, ::-1], (128, 128), interpolation=cv2.INTER_AREA)
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(float).ravel() for image in (first, shown)]
    assert np.corrcoef(*grey)[0, 1] > 0.9


def test_the_largest_face_speaks(tmp_path, voice, portrait):
    closer = cv2.resize(portrait[10:270, 80:340], (512, 512))
    both = np.hstack([portrait, closer])
    run = rendering.render(tmp_path, rendering.write_picture(tmp_path / "p", both), voice)
    frames = np.stack(lipsync.gray_frames(run.output)).astype(np.float32)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(0, 1))
    assert change[: change.size // 2].mean() < 0.2 * change[change.size // 2 :].mean()
