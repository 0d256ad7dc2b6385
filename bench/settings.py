"""The product's settings with one page more: the empty view."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
