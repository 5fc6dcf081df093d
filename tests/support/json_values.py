"""Hypothesis strategies for JSON values and messages."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


def anything(*keys: str) -> st.SearchStrategy:
    """Return a strategy for any JSON value; objects use these keys and others."""
    scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.one_of(st.sampled_from(keys), st.text(max_size=5)), inner, max_size=6),
        ),
        max_leaves=12,
    )


def objects(types: tuple[str, ...], *keys: str) -> st.SearchStrategy:
    """Return a strategy for messages of these types with arbitrary field values."""
    fields = st.dictionaries(st.sampled_from(keys), anything(*keys), max_size=len(keys))
    return st.builds(lambda kind, more: {**more, "type": kind}, st.sampled_from(types), fields)


def refusal_of(parse: Callable[[Any], Any], value: Any) -> str | None:
    """Return the parser's error message for a value, or None if it is valid. Only a ValueError is expected."""
    try:
        parse(value)
    except ValueError as error:
        return str(error)
    return None
