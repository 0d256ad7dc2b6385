"""Is a picture fit for a model? Answered at once."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from jobs import uploads
from jobs.detect import EMO, detect
from jobs.dialects.rest.contract import Answer, operation
from jobs.dialects.rest.errors import FETCH_CODES, INPUT_CODES, MONEY_CODES
from jobs.dialects.rest.schemas import detections as schemas
from jobs.dialects.rest.views.base import View
from jobs.dialects.rest.wire import detections as wire
from jobs.errors import Invalid


class Detect(View):
    @operation(
        "detect",
        "Check a picture",
        tag="Detection",
        body=schemas.CHECK,
        answers={200: Answer("What was found, and what it cost.", schemas.DETECTION)},
        refusals=(
            *(*INPUT_CODES, *FETCH_CODES, *MONEY_CODES, "file_not_uploaded", "moderation_unavailable"),
            *("probe_timeout", "probe_crashed", "no_route", "provider_unavailable", "storage_unavailable"),
        ),
    )
    def post(self, request: Request) -> Response:
        """Looks for one person, whole, sharp and turned to the camera, and says why a picture will not do. Billed by the
        picture, fit or not; a look that could not be taken is free.
        """
        model = self.body.get("model", schemas.MODELS[0])
        detector, image = wire.DETECTORS[model], self.body["image"].strip()
        if "ratio" in self.body and detector != EMO:
            raise Invalid("parameter_invalid", "ratio is for the model emo-v1 only.", field="ratio")
        ratio = self.body.get("ratio", schemas.RATIOS[0]) if detector == EMO else ""
        if uploads.is_data(image):
            image = str(uploads.store_data(self.caller, image, role="image").pk)
        return Response(wire.detection(model, detect(self.caller, detector, image, ratio=ratio)))
