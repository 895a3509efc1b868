"""The page that a server shows: one file with style sheet and script in it."""

import base64
import hashlib
import json
from importlib.resources import files

from markupsafe import Markup

from asr.pages.template import render
from asr.server.settings import Settings


class Page:
    """The page, and the headers that let it run its own script and nothing else.

    Args:
        settings: of the server.
        has_lm: whether there is a language model to choose.
        can_stream: whether words can appear while they are said.

    Attributes:
        html: the page.
        headers: of its answer.
        capture: the script that takes the microphone's samples, in the browser's audio thread,
            which loads it from an address of its own.
    """

    def __init__(self, settings: Settings, *, has_lm: bool, can_stream: bool) -> None:
        folder = files("asr.server") / "templates"
        style = (files("asr.pages") / "templates" / "page.css").read_text("utf-8")
        style += (folder / "page.css").read_text("utf-8")
        facts = {
            "model": settings.name,
            "needsToken": settings.token is not None,
            "maxBytes": settings.max_bytes,
            "maxSeconds": settings.max_duration_s,
            "streams": can_stream,
        }
        # In a script element only "<" could end it.
        told = json.dumps(facts).replace("<", "\\u003c")
        script = f"const SERVER = {told};\n" + (folder / "page.js").read_text("utf-8")
        self.capture = (folder / "capture.js").read_text("utf-8")
        self.html = render(
            "asr.server",
            "page.html.j2",
            style=Markup(style),
            script=Markup(script),
            has_lm=has_lm,
            **facts,
        )
        self.headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; script-src 'self' {_source(script)}; "
                f"style-src {_source(style)}; connect-src 'self'; img-src data:; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
        }


def _source(content: str) -> str:
    """Name a script or a style sheet by its hash, for the browser's policy."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
