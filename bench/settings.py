"""The product's settings with one page more: the empty view."""

from config.settings import *  # noqa: F403  all of the product's

ROOT_URLCONF = "bench.urls"
