"""Any JSON value, as hypothesis makes it: what a stranger may send."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


def anything(*keys: str) -> st.SearchStrategy:
    """Give values of every shape; objects have some of these keys, or others."""
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
    """Give messages of these types, whose fields may be anything."""
    fields = st.dictionaries(st.sampled_from(keys), anything(*keys), max_size=len(keys))
    return st.builds(lambda kind, more: {**more, "type": kind}, st.sampled_from(types), fields)


def refusal_of(parse: Callable[[Any], Any], value: Any) -> str | None:
    """Give what a parser says against a value; None: it takes it. Anything but a ValueError is a failure."""
    try:
        parse(value)
    except ValueError as error:
        return str(error)
    return None
