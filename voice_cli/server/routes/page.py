"""The page at `/`, on which a person types a text, picks a voice and listens.

The page is the one file `page.html`. Its Content-Security-Policy (W3C CSP 3) allows only requests to this server, and
only the inline script and style, by their hashes.
"""

import base64
import hashlib
import os
import re
from functools import cache

from fastapi import APIRouter
from starlette.responses import Response

router = APIRouter()


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """Return the page."""
    content = page_content()
    headers = {
        "content-security-policy": policy_of(content),
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return Response(content, headers=headers, media_type="text/html")


@cache
def page_content() -> str:
    with open(os.path.join(os.path.dirname(__file__), "page.html"), encoding="utf-8") as file:
        return file.read()


@cache
def policy_of(content: str) -> str:
    """Return the Content-Security-Policy of a page with inline script and style.

    `blob:` allows the audio worklet, whose source the script makes; browsers treat worklets as scripts, not workers.
    """
    script, style = (_hashes(content, element) for element in ("script", "style"))
    return (
        f"default-src 'none'; script-src {script} blob:; style-src {style}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(content: str, element: str) -> str:
    """Return the hashes of all such elements in the form that a policy has."""
    inside = re.findall(rf"<{element}>(.*?)</{element}>", content, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in inside)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
