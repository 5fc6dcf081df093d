"""Schemathesis hooks (set by SCHEMATHESIS_HOOKS) for rules that the schema cannot express."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Add a word to texts: blank ones are refused, and a schema cannot define blank."""
    if isinstance(body, dict):
        for name in ("input", "text"):
            if isinstance(body.get(name), str) and body[name]:
                body[name] = f"word {body[name]}"
    return body
