"""Letters: a subject, a text, and the same in HTML on the one frame.

`name` is a template without its ending. Where there is no HTML of its own, it is drawn from the text: paragraphs stay
paragraphs, an address that stands alone becomes a button, the greeting stays and the signature is the frame's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string


def compose(subject: str, name: str, context: Mapping[str, Any], to: Iterable[str]) -> EmailMultiAlternatives:
    """`context` gets `url`, the installation's own address. A subject may hold a name with line breaks: they go."""
    full = {"url": settings.PUBLIC_URL, **context}
    text = render_to_string(f"{name}.txt", full).strip() + "\n"
    letter = EmailMultiAlternatives(" ".join(subject.split()), text, to=list(to))
    letter.attach_alternative(_html(name, text, full), "text/html")
    return letter


def _html(name: str, text: str, context: Mapping[str, Any]) -> str:
    try:
        return render_to_string(f"{name}.html", context)
    except TemplateDoesNotExist:
        return drawn(text)


def drawn(text: str) -> str:
    """A text's HTML. Its last paragraph is the signature."""
    paragraphs = [part.strip() for part in text.strip().split("\n\n") if part.strip()]
    return render_to_string("email/drawn.html", {"paragraphs": paragraphs[:-1], "url": settings.PUBLIC_URL})
