"""Run coroutines in a new event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from support.threads import WAIT


def run(work: Callable[[], Coroutine[Any, Any, Any]], seconds: float = WAIT) -> Any:
    """Run a coroutine function in a new event loop and return its result; fail after so many seconds."""

    async def bounded() -> Any:
        async with asyncio.timeout(seconds):
            return await work()

    return asyncio.run(bounded())
