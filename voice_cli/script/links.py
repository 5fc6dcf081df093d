"""Links and HTML inside a line. Imported when the first one is found, since most texts have none.

CommonMark 6.3 (links), 6.5 (autolinks), 6.6 (raw HTML), with bounds.
"""

import re

from voice_cli.script.incomplete import IncompleteTextError

LINK_LABEL = 300
LINK_TARGET = 600
"""Characters of the longest label and target; what is longer is text."""
_LABEL = re.compile(r"\\.|\n\n|[\[\]]", re.DOTALL)
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
ENTITY_LIMIT = 40

HIDDEN = frozenset({"script", "style", "template", "textarea", "svg", "head", "noscript"})
"""Elements whose content is not shown."""
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
"""The elements of HTML. Anything else (`<your name>`) is text."""


def link_end(text: str, at: int, *, final: bool) -> tuple[int, int]:
    """Return where a link's label that starts at `[` ends, and where the link does; each 0 if it does not.

    Raises IncompleteTextError if that takes more text.
    """
    depth, bound = 0, at + LINK_LABEL
    for match in _LABEL.finditer(text, at, bound):
        part, index = match.group(), match.start()
        depth += (part == "[") - (part == "]")
        if part == "\n\n":
            return 0, 0
        if part == "]" and not depth:
            break
    else:
        if len(text) < bound and not final:
            raise IncompleteTextError
        return 0, 0
    after = text[index + 1 : index + 2]
    if not after and not final:
        raise IncompleteTextError
    if after == "[":
        reference = _REFERENCE.match(text, index + 1)
        if reference is None and not final and _REFERENCE_BEGUN.match(text, index + 1):
            raise IncompleteTextError
        return index, reference.end() if reference else 0
    if after != "(":
        return index, 0
    part = text[index + 1 : index + 1 + LINK_TARGET]
    end = _target_end(part)
    if end is None and len(part) < LINK_TARGET and not final:
        raise IncompleteTextError
    return index, index + 1 + end if end else 0


def _target_end(part: str) -> int | None:
    """Return the end of `(target "title")`; 0: it is none; None: more text decides."""
    match = _TARGET.match(part)
    if match is None or match.end() == len(part):
        return None
    end = match.end()
    if part[end] not in " \n)":
        # An open bracket or tag, or something that no target has.
        return None if part[end] in "(<\\" and "\n" not in part[end:] else 0
    title = _TITLE.match(part, end)
    if title:
        end = title.end()
    elif part[end] != ")" and _TITLE_BEGUN.match(part, end):
        return None
    end += len(part[end:]) - len(part[end:].lstrip(" \n"))
    if end == len(part):
        return None
    return end + 1 if part[end] == ")" else 0
