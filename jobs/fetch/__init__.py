"""The only way out to an address that a customer chose: inputs and webhooks.

A URL is checked as text (`check_url`, at submit), its host is resolved once and refused unless every answer
is public, and the socket goes to exactly that address (`PinnedTransport`). `settings.FETCH_ALLOW_HOSTS` names
the exceptions.
"""

from jobs.fetch.addresses import check_url
from jobs.fetch.download import Fetched, data_uri, download
from jobs.fetch.refusals import FetchRefused
from jobs.fetch.transport import PinnedTransport, client

__all__ = ["FetchRefused", "Fetched", "PinnedTransport", "check_url", "client", "data_uri", "download"]
