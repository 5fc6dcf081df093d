"""Event loops of a test's own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from support.threads import WAIT


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine function in a loop of its own, and give what it returns; what hangs fails the test."""

    async def bounded() -> Any:
        async with asyncio.timeout(WAIT):
            return await work()

    return asyncio.run(bounded())
