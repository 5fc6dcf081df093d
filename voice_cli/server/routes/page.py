"""The page at `/`: a person types, picks a voice, and hears it as it is made.

`page.html` beside this is all of it. It loads nothing but what it asks this server for, and may run nothing but the
script and the style that stand in it: its policy (Content-Security-Policy, W3C CSP 3) has their hashes.
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
    """Give the page."""
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
    """Read the page."""
    with open(os.path.join(os.path.dirname(__file__), "page.html"), encoding="utf-8") as file:
        return file.read()


@cache
def policy_of(content: str) -> str:
    """Say what a page may do that has its script and its style in itself, and talks to its own server alone.

    `blob:` is the page's audio worklet, whose source the script makes: worklets are scripts to browsers, not workers.
    """
    script, style = (_hashes(content, element) for element in ("script", "style"))
    return (
        f"default-src 'none'; script-src {script} blob:; style-src {style}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(content: str, element: str) -> str:
    """Give the hash of each such element, as a policy names it."""
    inside = re.findall(rf"<{element}>(.*?)</{element}>", content, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in inside)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
