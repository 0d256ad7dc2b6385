"""Why a customer's address is not fetched."""

from __future__ import annotations

# One sentence each. None names an address, a port or a reason of ours that would map our inside network.
MESSAGES = {
    "url_invalid": "This is not a usable web address.",
    "url_scheme": "Only http and https addresses are accepted.",
    "url_private": "This address does not belong to the public internet.",
    "url_redirect_private": "This address redirects to one that is not on the public internet.",
    "url_unreachable": "The server behind this address could not be reached.",
    "url_timeout": "The server behind this address was too slow.",
    "url_status": "The server behind this address did not answer with the file.",
    "url_too_large": "The file behind this address is too large.",
    "url_too_many_redirects": "This address redirects too many times.",
}
# What may succeed when tried again later, unless the place that raises knows better.
RETRYABLE = {"url_unreachable", "url_timeout"}


class FetchRefused(Exception):
    """An address we do not use, with a stable code and a sentence for the customer."""

    def __init__(self, code: str, message: str = "", *, retryable: bool | None = None) -> None:
        self.code = code
        self.message = message or MESSAGES[code]
        self.retryable = code in RETRYABLE if retryable is None else retryable
        super().__init__(f"{code}: {self.message}")
