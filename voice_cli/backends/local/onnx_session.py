"""Sessions of onnxruntime, with the options that start the sound soonest."""

import os
from typing import Any

from voice_cli.backends.packages import load
from voice_cli.errors import UsageError

MAX_THREADS = 4
"""More gain little, and the player needs one."""

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider"}


def threads() -> int:
    """Return how many threads an engine may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_THREADS, count)


def open_session(engine: str, install: str, model: bytes | str, compute: str = "cpu", *, optimized: bool = True) -> Any:
    """Load a network: its path or content.

    `optimized`: let onnxruntime optimize the graph, which takes time: a Piper voice loaded in 0.31 s with it, in 0.12 s
    without, and ran equally fast.

    The threads do not spin: waiting threads would take the processor from the player. On two busy cores, the real-time
    factor of a Piper voice was 0.16 with spinning threads and 0.11 without.

    Raises:
        EngineError: onnxruntime is not installed or does not load.
        UsageError: it cannot compute there.

    """
    runtime = load(engine, "onnxruntime", install)
    provider = PROVIDERS.get(compute)
    if provider not in runtime.get_available_providers():
        raise UsageError(f"this onnxruntime cannot compute on {compute!r}", hint="compute = 'cpu'")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    if not optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # it prints warnings about nodes that it moves
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(model, options, providers=[provider])
