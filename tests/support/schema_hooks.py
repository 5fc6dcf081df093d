"""What schemathesis cannot read from a description: loaded by it, as its SCHEMATHESIS_HOOKS."""

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Give a text a word, if it may have none: a blank one is refused, and no schema can say what is blank."""
    if isinstance(body, dict):
        for name in ("input", "text"):
            if isinstance(body.get(name), str) and body[name]:
                body[name] = f"word {body[name]}"
    return body
