"""The app as a deployment of Ray Serve. `build` is what a Serve config names; see `deploy/ray-serve.yaml`.

::

                              ┌─▶ replica: app ─▶ engine
    client ─▶ a node's proxy ─┤
                              └─▶ replica: app ─▶ engine

A replica runs the app and the engine in one process, which saves a hop per chunk. Ray scales replicas by active
requests, and the proxies route to them by `AffinityRouter`. Ray's channel has no back-pressure: a slow client's stream
is generated at full speed and buffered in the proxy's memory.
"""

import asyncio
import logging
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI
from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from voice_cli.backends.local.chatterbox import MAX_VOICES
from voice_cli.config import Profile, checked_table, load
from voice_cli.server.affinity import call_key
from voice_cli.server.app import create_app
from voice_cli.server.guard import log_labels
from voice_cli.server.hosting import SWITCH_SECONDS, log_to
from voice_cli.server.service import Service
from voice_cli.server.settings import Server, ServerSettings, keys_of_server, settle_server

NAME = "Voice"
"""The deployment's name, for options in a Serve config."""

CONCURRENT_STREAMS = {"espeak": 64, "piper": 8, "sherpa": 8}
DEFAULT_CONCURRENT_STREAMS = 4
"""Concurrent streams per replica that an engine generates in real time (rough); Ray scales by it."""

KEPT_VOICES = {"chatterbox": MAX_VOICES, "vibevoice": 1}
"""Expensive voices that an engine caches. Other engines need no affinity."""

MOST_REPLICAS = 8
UPSCALE_SECONDS = 5.0
"""How long a replica must be overloaded before another is added. Ray's default of 30 lasts many sentences."""

ROOM = 16
"""Requests per replica besides streams: idle sessions, health checks, and orders to refuse."""

HEALTH_SECONDS = 2.0
"""Interval of health checks: a dead replica stays unnoticed for so long (Ray's default is 10)."""
STOP_CHECK_SECONDS = 0.2


class AffinityRouter(RequestRouter):  # type: ignore[misc]  # Ray may be missing when types are checked
    """Routes a call's requests to its replica, others to a replica with the voice cached, or else the least busy one.

    It relies on the proxies' view, which lags a little.
    """

    def initialize_state(self, at_once: int = DEFAULT_CONCURRENT_STREAMS) -> None:
        """`at_once`: the requests of a replica from which on its cached voices no longer attract more."""
        self._at_once = at_once

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return the preferred replicas, then all."""
        key = ""
        if pending_request is not None:
            key = pending_request.metadata.multiplexed_model_id
            pending_request.routing_context.should_backoff = True  # else Ray retries without a pause
        everyone = random.sample(candidate_replicas, len(candidate_replicas))  # Ray takes the first of equals
        preferred = [replica for replica in everyone if key and key in replica.multiplexed_model_ids]
        if not key.startswith(call_key("")):
            preferred = [replica for replica in preferred if self._load(replica) < self._at_once]
        return [preferred, everyone]

    def _load(self, replica: RunningReplica) -> int:
        return self.replica_queue_len_cache.get(replica.replica_id) or 0


class Log(NamedTuple):
    """The log of the replicas."""

    path: str | None = None
    """None: standard error, which Ray logs."""
    requests: bool = True
    """Whether to write the access log besides errors."""
    debug: bool = False
    """Whether errors have tracebacks."""


def build(args: Mapping[str, Any]) -> serve.Application:
    """Return the application for a Serve config.

    `args`: the keys of [server], `model` and `insecure`; they override the config file and the environment of the
    process that builds it. `host` is where Ray's proxies listen, if that is a loopback address; `port` is ignored.

    Raises:
        ConfigError: a value is wrong; or there is no key, and `insecure` is not set.

    """
    keys = dict(args)
    insecure = keys.pop("insecure", False) is True
    model = {"model": keys.pop("model")} if "model" in keys else {}
    flags = {**checked_table("args", "", keys, Server), **checked_table("args", "", model, Profile)}
    return application(settle_server(load(), {"host": "0.0.0.0", **flags}, insecure=insecure))


def application(
    settings: ServerSettings, *, most: int = MOST_REPLICAS, gpus: float = 0, log: Log | None = None
) -> serve.Application:
    """Return the application, without the API keys, since Ray stores it: replicas read them from their environment.

    `most`: the limit of autoscaling. `gpus`: the GPUs, or part of one, per replica.
    """
    settings = settings._replace(api_keys=())

    def app() -> FastAPI:
        return replica_app(settings, log or Log())

    server = settings.server
    at_once = min(CONCURRENT_STREAMS.get(server.engine, DEFAULT_CONCURRENT_STREAMS), server.max_streams)
    autoscaling = {
        "min_replicas": 1,
        "max_replicas": most,
        "target_ongoing_requests": at_once,
        "upscale_delay_s": UPSCALE_SECONDS,
    }
    scale = {"num_replicas": server.replicas} if server.replicas else {"autoscaling_config": autoscaling}
    deployment = serve.deployment(
        serve.ingress(app)(),
        name=NAME,
        max_ongoing_requests=server.max_streams + ROOM,
        max_queued_requests=server.max_streams,
        health_check_period_s=HEALTH_SECONDS,
        graceful_shutdown_timeout_s=server.drain_timeout + 1,
        graceful_shutdown_wait_loop_s=STOP_CHECK_SECONDS,
        request_router_config=RequestRouterConfig(
            request_router_class=f"{__name__}.{AffinityRouter.__name__}", request_router_kwargs={"at_once": at_once}
        ),
        ray_actor_options={"num_cpus": 1, "num_gpus": gpus},
        **scale,
    )
    return deployment.bind()


def replica_app(settings: ServerSettings, log: Log) -> FastAPI:
    """Return the app of a replica, with the engine loaded here, since Ray hides errors of the app's lifespan.

    Raises:
        ConfigError, BackendError: the engine does not load.

    """
    sys.setswitchinterval(SWITCH_SECONDS)
    name = serve.get_replica_context().replica_tag
    handler = logging.StreamHandler(None if log.path is None else open(log.path, "a", encoding="utf-8"))  # noqa: SIM115
    log_labels["replica"] = name
    log_to(handler, requests=log.requests, debug=log.debug)
    settings = settings._replace(api_keys=keys_of_server(settings.server))
    app = create_app(settings)
    service: Service = app.state.service
    service.warm_up()
    service.metrics.labels = {"replica": name}
    service.announce = announcer(KEPT_VOICES.get(settings.server.engine, 0), settings.server.max_streams)
    return app


def announcer(kept: int, calls: int) -> Callable[[str], None]:
    """Return a function that announces a replica's cached voices and active calls to the proxies. Event loop only.

    `kept` and `calls`: how many there may be. Without any kept, voices are not announced.
    """

    async def have(name: str) -> str:
        return name

    announced = serve.multiplexed(max_num_models_per_replica=kept + calls)(have)
    tasks: set[asyncio.Task[str]] = set()

    def announce(name: str) -> None:
        if kept or name.startswith(call_key("")):
            task = asyncio.create_task(announced(name))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return announce
