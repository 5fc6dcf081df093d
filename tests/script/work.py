"""Count the work of a parser, as a measure of time that does not depend on the machine."""

import sys
from collections.abc import Callable
from itertools import cycle, islice


def repeated(unit: str, length: int) -> str:
    """Return the first `length` characters of the unit, repeated."""
    return "".join(islice(cycle(unit), length))


def lines_run(function: Callable[..., object], *arguments: object) -> int:
    """Return how many lines of Python one call runs, loops included."""
    count = 0

    def trace(_frame, event, _argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return count
