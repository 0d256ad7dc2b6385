"""The ASGI entry point."""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application

from config.body_limit import BodyLimit

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = BodyLimit(get_asgi_application(), upload_max_bytes=settings.UPLOAD_MAX_BYTES)
