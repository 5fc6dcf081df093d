"""Links, and what HTML there is inside a line. Imported when the first one is met: most texts have none.

CommonMark 6.3 (links), 6.5 (autolinks), 6.6 (raw HTML), with bounds.
"""

import re

LINK_LABEL = 300
LINK_TARGET = 600
"""Characters; what is longer is no link."""
_TARGET = re.compile(r"\([ \n]*(?:<[^<>\n]*>|(?:[^\s()<>\\]|\\.|\((?:[^\s()\\]|\\.)*\))*)")
_TITLE = re.compile(r"""[ \n]+(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\((?:\\.|[^()\\])*\))""", re.DOTALL)
_TITLE_BEGUN = re.compile(r"""[ \n]+(?:"(?:\\.|[^"\\])*\\?|'(?:\\.|[^'\\])*\\?|\((?:\\.|[^()\\])*\\?)?\Z""", re.DOTALL)
_REFERENCE = re.compile(r"\[[^\[\]\n]{0,100}\]")
_REFERENCE_BEGUN = re.compile(r"\[[^\[\]\n]{0,100}\Z")

TAG = re.compile(
    r"</?([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[a-zA-Z_:@][\w:.@-]*(?:\s*=\s*(?:[^\s\"'=<>`]+|'[^']*'|\"[^\"]*\"))?)*)\s*/?>"
)
TAG_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9-]*)(?=[\s/>])")
TAG_BEGUN = re.compile(r"<(?:/?(?:[a-zA-Z][^<>]*)?|![a-zA-Z\[-]?[^<>]*|\?[^<>]*)\Z")
TAG_LIMIT = 300
OTHER_TAG = re.compile(r"<(?:![A-Za-z\[][^<>]*|\?[^<>]*)>")
AUTOLINK = re.compile(r"<((?:https?|ftp)://[^\s<>]*|(?:mailto:)?[^\s<>@:/]+@[^\s<>@]+\.[^\s<>@]+)>")
ALT = re.compile(r"""\salt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)

ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
ENTITY_BEGUN = re.compile(r"&(?:#?[0-9a-zA-Z]{0,32})\Z")

HIDDEN = frozenset({"script", "style", "template", "textarea", "svg", "head", "noscript"})
"""Elements whose content nobody sees."""
_BLOCKS = (
    "address article aside blockquote body br caption center dd details dialog div dl dt fieldset figcaption"
    " figure footer form h1 h2 h3 h4 h5 h6 header hr html li main menu nav ol option p pre section summary"
    " table tbody td tfoot th thead title tr ul"
)
_INLINE = (
    "a abbr acronym area audio b base bdi bdo big button canvas cite code col colgroup data del dfn em embed"
    " font i iframe img input ins kbd label legend link map mark meta meter nobr object optgroup output param"
    " picture progress q rp rt ruby s samp select small source span strike strong sub sup time track tt u var"
    " video wbr"
)
BLOCKS = frozenset(_BLOCKS.split())
ELEMENTS = BLOCKS | HIDDEN | set(_INLINE.split())
"""HTML's. `<your name>` is none: it is read."""


def link_end(text: str, at: int, *, final: bool) -> tuple[int, int] | None:
    """Read a link's label at `[` and what follows it: where the label ends, and where the link does.

    None: more text is needed. The link's end is 0 where it is none, and both are where no label ends.
    """
    depth = 0
    index = at
    bound = min(len(text), at + LINK_LABEL)
    while index < bound:
        char = text[index]
        if char == "\\":
            index += 1
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if not depth:
                break
        elif char == "\n" and text[index + 1 : index + 2] == "\n":
            return 0, 0
        index += 1
    else:
        return (0, 0) if final or len(text) >= at + LINK_LABEL else None
    if index + 1 >= len(text):
        return (index, 0) if final else None
    if text[index + 1] == "[":
        match = _REFERENCE.match(text, index + 1)
        if match is None and not final and _REFERENCE_BEGUN.match(text, index + 1):
            return None
        return index, match.end() if match else 0
    if text[index + 1] != "(":
        return index, 0
    end = _target_end(text, index + 1, final=final)
    return None if end is None else (index, end)


def _target_end(text: str, at: int, *, final: bool) -> int | None:
    """Read `(target "title")`; 0: it is none."""
    part = text[at : at + LINK_TARGET]
    short = 0 if final or len(part) == LINK_TARGET else None
    match = _TARGET.match(part)
    if match is None or match.end() == len(part):
        return short
    end = match.end()
    if part[end] not in " \n)":
        # A bracket or a tag that is open still, or something that no target has.
        return short if part[end] in "(<\\" and "\n" not in part[end:] else 0
    title = _TITLE.match(part, end)
    if title:
        end = title.end()
    elif part[end] != ")" and _TITLE_BEGUN.match(part, end):
        return short
    while end < len(part) and part[end] in " \n":
        end += 1
    if end == len(part):
        return short
    return at + end + 1 if part[end] == ")" else 0
