"""The app on a Ray instance of its own on this machine, which ends with it."""

import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from queue import SimpleQueue
from types import FrameType

from voice_cli.backends import backend_class
from voice_cli.errors import EngineError, Hint
from voice_cli.printable import one_line
from voice_cli.server.service import Service
from voice_cli.server.settings import ServerSettings

APPLICATION = "voice"

STORE_BYTES = 80 << 20
"""Ray's shared memory: about the minimum, since audio chunks are too small to use it."""

COPY_SECONDS = 1.0
"""Timeout for copying the last lines of the replicas' log."""

DRAIN_STEP_SECONDS = 0.1


def load_ray(*, debug: bool) -> None:
    """Set Ray's environment variables, which its processes inherit, and import it, if it is installed."""
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0",
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # makes Ray listen on loopback on all systems
        RAY_AUTH_MODE="token",  # one port of each replica is not on loopback and demands this
        RAY_AUTH_TOKEN=secrets.token_hex(32),
        RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",  # engines without a GPU share may see the GPUs
        RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH="voice_cli.server.affinity.middlewares",
        RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT="1",  # a failed load fails again
        RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S=str(DRAIN_STEP_SECONDS),
    )
    if not debug:
        os.environ["RAY_SERVE_LOG_TO_STDERR"] = "0"
    import_module("ray.serve")


def host(
    settings: ServerSettings, listening: socket.socket, *, requests: bool, debug: bool, on_ready: Callable[[], None]
) -> None:
    """Serve on a socket's address until a signal comes, then drain. A second signal stops at once.

    Main thread only, after `load_ray`. `requests`: write the access log besides errors.

    Raises:
        BackendError: the engine or Ray does not start.

    """
    Service(settings).close()  # raises configuration errors before Ray starts
    address, port = listening.getsockname()[:2]
    listening.close()
    import ray
    from ray import serve

    from voice_cli.server.deployment import Log, application

    quiet = {"enable_access_log": False, "log_level": "INFO" if debug else "ERROR"}
    if not debug:
        for name in ("ray", "ray.serve"):
            logging.getLogger(name).setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        if not debug:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))  # Ray prints errors of its raylet there
        parent = "/tmp" if os.path.isdir("/tmp") else None  # noqa: S108  keeps the paths of Ray's sockets short
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="voice-", dir=parent, ignore_cleanup_errors=True)
        )
        log = stack.enter_context(copied(folder))
        try:
            ray.init(
                address="local",
                num_cpus=max(os.cpu_count() or 1, settings.server.replicas or 1),
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                log_to_driver=debug,
                configure_logging=debug,
                _temp_dir=folder,
            )
            serve.start(
                proxy_location="HeadOnly",
                http_options={
                    "host": address,
                    "port": port,
                    "keep_alive_timeout_s": round(settings.server.idle_timeout),
                },
                logging_config=quiet,
            )
            most, gpus = shares(settings, ray.cluster_resources().get("GPU", 0))
            app = application(settings, most=most, gpus=gpus, log=Log(log, requests=requests, debug=debug))
            serve.run(app, name=APPLICATION, logging_config=quiet)
            wait_for_signal(on_ready)
            drain(settings.server.drain_timeout)
        except KeyboardInterrupt:
            pass
        except (RuntimeError, ray.exceptions.RayError) as exc:
            raise EngineError(reason_of(exc), hint=Hint("{debug} shows more")) from exc
        finally:
            ray.shutdown()


def shares(settings: ServerSettings, gpus: float) -> tuple[int, float]:
    """Return how many replicas this machine's CPUs and GPUs allow, and the GPU share of each."""
    runs_on_torch = backend_class(settings.server.engine).runs_on_torch
    if not runs_on_torch or not gpus or settings.engine_options.get("compute") == "cpu":
        return os.cpu_count() or 1, 0.0
    return int(gpus), min(1.0, gpus / (settings.server.replicas or gpus))


def wait_for_signal(on_ready: Callable[[], None]) -> None:
    """Wait for SIGINT, SIGTERM or SIGHUP; a second one then raises KeyboardInterrupt."""
    came: SimpleQueue[None] = SimpleQueue()  # its put is reentrant
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(hangup)

    def handle(handler: Callable[[int, FrameType | None], object]) -> None:
        for number in numbers:
            signal.signal(number, handler)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        handle(signal.default_int_handler)
        came.put(None)

    handle(on_signal)
    on_ready()
    came.get()


def drain(seconds: float) -> None:
    """Drain the replicas, then the proxy, which may buffer more audio than they do."""
    import ray
    from ray import serve

    deadline = time.monotonic() + seconds

    def wait_until(is_so: Callable[[], bool]) -> None:
        while not is_so() and time.monotonic() < deadline:
            time.sleep(DRAIN_STEP_SECONDS)

    serve.delete(APPLICATION, _blocking=False)
    wait_until(lambda: APPLICATION not in serve.status().applications)
    named = ray.util.list_named_actors(all_namespaces=True)
    proxies = [ray.get_actor(**one) for one in named if one["name"].startswith("SERVE_PROXY_ACTOR")]
    ray.get([proxy.update_draining.remote(True) for proxy in proxies])
    wait_until(lambda: all(ray.get([proxy.is_drained.remote() for proxy in proxies])))


@contextlib.contextmanager
def copied(folder: str) -> Iterator[str]:
    """Yield the path of a FIFO whose lines are copied to standard error."""
    path = os.path.join(folder, "log")
    os.mkfifo(path, 0o600)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a blocking open would wait for a writer
    writer = os.open(path, os.O_WRONLY)
    os.set_blocking(reader, True)

    def copy() -> None:
        with open(reader, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                sys.stderr.write(line)

    copying = threading.Thread(target=copy, name="voice-log", daemon=True)
    copying.start()
    try:
        yield path
    finally:
        os.close(writer)
        copying.join(COPY_SECONDS)


def reason_of(error: BaseException) -> str:
    """Return the cause in Ray's long error text: the message of our own error, or else the last line."""
    from ray import serve

    text = str(error)
    with contextlib.suppress(Exception):  # Ray may be down
        application = serve.status().applications[APPLICATION]
        text += "".join(f"\n{deployment.message}" for deployment in application.deployments.values())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("voice_cli.errors.")]
    if ours:
        return one_line(ours[-1].partition(": ")[2])
    return one_line(f"Ray does not start: {lines[-1] if lines else type(error).__name__}")
