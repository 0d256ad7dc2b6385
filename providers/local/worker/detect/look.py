"""Looking at one picture: the verdict, as the fields of one JSON object."""

from __future__ import annotations

from math import degrees
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from providers.local.worker.protocol import RenderError
from providers.local.worker.talking_portrait import cascades
from providers.local.worker.talking_portrait.arrays import Picture
from providers.local.worker.talking_portrait.face import EYE_LINE, Face, find_faces
from providers.local.worker.talking_portrait.picture import read_picture, upright_size

from .boxes import face_box, shot_box

MIN_SIDE, MAX_SIDE = 400, 7000  # pixels of the picture
MIN_FACE = 60  # pixels of a face's width
MIN_SHOT_FACE = 80  # the same where only head or half body are kept and enlarged
SOMEBODY = 0.35  # a face this large beside the largest is a second person, not the background
MAX_TILT = 30  # degrees
MIN_SHARPNESS = 0.085  # see _sharpness: a good portrait has 0.2 and more, one out of focus 0.07 and less
SHARPNESS_SIDE = 128  # faces are judged at this size, smaller ones at their own
DARK = 28  # mean of 0..255 over the face
PROFILE_SIDE = 480  # turned heads are looked for in a picture of this size


def look(path: Path, ratio: str) -> dict[str, Any]:
    """{"fit", "person", and either "face" with "frame" or "code" with "message" and "hint"}."""
    cv2.setNumThreads(1)
    cascades.check()
    try:
        width, height = upright_size(path)
        _check_size(width, height)
        picture = read_picture(path)
    except RenderError as error:
        return _unfit(error.code, error.message, error.hint)
    faces = find_faces(picture)
    if not faces:
        return _nobody(picture)
    scale = width / picture.shape[1]
    if why := _flaw(picture, faces, scale, MIN_SHOT_FACE if ratio else MIN_FACE):
        return why
    left, top, side = _square(faces[0].scaled(scale))
    face = face_box(left, top, side, width, height)
    frame = shot_box(face, ratio, width, height) if ratio else None
    if ratio and frame is None:
        return _unfit(
            "body_cut",
            f"The picture leaves too little room around the face for a shot of {ratio}.",
            "Use a picture with more around the head, or the ratio 1:1.",
            person=True,
        )
    return {"fit": True, "person": True, "face": face, "frame": frame}


def _unfit(code: str, message: str, hint: str = "", *, person: bool = False) -> dict[str, Any]:
    return {"fit": False, "person": person, "code": code, "message": message, "hint": hint}


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise RenderError(
            "image_too_small",
            f"The picture is {width} by {height} pixels.",
            f"Each side needs {MIN_SIDE} pixels.",
        )
    if max(width, height) > MAX_SIDE:
        raise RenderError(
            "image_too_large",
            f"The picture is {width} by {height} pixels.",
            f"A side may have {MAX_SIDE} pixels at most.",
        )


def _flaw(picture: Picture, faces: list[Face], scale: float, least: int) -> dict[str, Any] | None:
    first = faces[0]
    if len([face for face in faces if face.width >= SOMEBODY * first.width]) > 1:
        return _unfit("face_many", "The picture shows more than one person.", "Crop it to one.", person=True)
    if first.width * scale < least:
        return _unfit(
            "face_small",
            f"The face is {first.width * scale:.0f} pixels wide; {least} are needed.",
            "Crop the picture closer, or use a larger one.",
            person=True,
        )
    crop = _crop(picture, first)
    if crop.mean() < DARK:
        return _unfit("face_dark", "The face is too dark.", "Use a picture with more light.", person=True)
    if _sharpness(crop) < MIN_SHARPNESS:
        return _unfit("image_blurred", "The face is out of focus.", "Use a sharper picture.", person=True)
    if not first.eyes_found or abs(degrees(first.roll)) > MAX_TILT:
        return _unfit(
            "face_turned", "The face is not seen from the front: both eyes must be visible.",
            "Use a picture of somebody who looks into the camera.", person=True,
        )  # fmt: skip
    return None


def _nobody(picture: Picture) -> dict[str, Any]:
    """Nobody seen from the front: perhaps somebody from the side."""
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    scale = min(1.0, PROFILE_SIDE / max(gray.shape))
    gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    finder = cascades.cascade("profileface")
    for image in (gray, cv2.flip(gray, 1)):  # it knows one side only
        if len(finder.detectMultiScale(image, 1.1, 6, minSize=(48, 48))):
            return _unfit(
                "face_turned", "The head is turned to the side.",
                "Use a picture of somebody who looks into the camera.", person=True,
            )  # fmt: skip
    return _unfit(
        "face_not_found", "No face was found in the picture.",
        "Use a picture that shows one face from the front, well lit.",
    )  # fmt: skip


def _square(face: Face) -> tuple[float, float, float]:
    """Left, top and side of the box in which cascades see this face."""
    return face.x - face.width / 2, face.y - EYE_LINE * face.width, face.width


def _crop(picture: Picture, face: Face) -> Any:
    left, top, side = _square(face)
    part = picture[max(0, int(top)) : int(top + side), max(0, int(left)) : int(left + side)]
    gray = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    scale = min(1.0, SHARPNESS_SIDE / max(gray.shape))
    return cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)


def _sharpness(crop: Any) -> float:
    """How much of the contrast is at the scale of a pixel."""
    return float(cv2.Laplacian(crop, cv2.CV_32F).std() / max(crop.std(), 1.0))
