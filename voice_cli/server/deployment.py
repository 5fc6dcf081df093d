"""The app as a deployment of Ray Serve. `build` is what a Serve config names; see `deploy/ray-serve.yaml`.

::

                              ┌─▶ replica: app ─▶ engine
    client ─▶ a node's proxy ─┤
                              └─▶ replica: app ─▶ engine

A replica is a process with all of it: the app costs next to nothing beside its engine, and between two processes each
chunk would wait once more. Ray starts replicas by the requests that are under way, and the proxies choose among them:
see `AffinityRouter`. Through Ray's own channel nothing holds back a slow client's stream: it is made as quickly as
the engine can, and waits in the proxy's memory.
"""

import asyncio
import json
import logging
import random
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI
from ray import serve
from ray.serve.config import RequestRouterConfig
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from voice_cli.backends.local.conditionals import MOST_VOICES
from voice_cli.config import Profile, checked_table, load
from voice_cli.server.affinity import call_home
from voice_cli.server.app import create_app
from voice_cli.server.guard import log as access_log
from voice_cli.server.hosting import SWITCH_SECONDS, log_to
from voice_cli.server.service import Service
from voice_cli.server.settings import Server, ServerSettings, keys_of_server, settle_server
from voice_cli.server.speech import SpeechOrder

NAME = "Voice"
"""The deployment's, by which a Serve config may set its options."""

AT_ONCE = {"espeak": 64, "piper": 8, "sherpa": 8}
FEW = 4
"""How many streams an engine makes at once with none of them late: a rough number, by which Ray adds replicas."""

KEPT_VOICES = {"chatterbox": MOST_VOICES, "vibevoice": 1}
"""How many voices an engine keeps that are dear to compute. For the others one replica is as good as another."""

MOST_REPLICAS = 8
UPSCALE_SECONDS = 5.0
"""How long there must be too many streams before a replica is added: Ray's own 30 are many sentences."""

ROOM = 16
"""Requests of a replica besides its streams: silent sessions, questions of how it is, and orders that it refuses."""

HEALTH_SECONDS = 2.0
"""How often Ray looks whether a replica lives: with its own 10, one that died is missed for so long."""
STOP_CHECK_SECONDS = 0.2


class AffinityRouter(RequestRouter):  # type: ignore[misc]  # Ray may not be here when types are checked
    """Sends a request where its voice is known and there is room for it, a call's where the call is, and every other
    one to the replica that has least to do.

    All of it is by what the proxies have been told, which is a moment old.
    """

    def initialize_state(self, at_once: int = FEW) -> None:
        """Take how many requests a replica has before a voice had better be computed once more, elsewhere."""
        self._at_once = at_once

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Give the replicas to try: the best, and then all."""
        home = ""
        if pending_request is not None:
            home = pending_request.metadata.multiplexed_model_id
            pending_request.routing_context.should_backoff = True  # else Ray asks again without a pause
        everyone = random.sample(candidate_replicas, len(candidate_replicas))  # of equals Ray takes the first
        at_home = [replica for replica in everyone if home and home in replica.multiplexed_model_ids]
        if not home.startswith(call_home("")):
            at_home = [replica for replica in at_home if self._load(replica) < self._at_once]
        return [at_home, everyone]

    def _load(self, replica: RunningReplica) -> int:
        return self.replica_queue_len_cache.get(replica.replica_id) or 0


class Log(NamedTuple):
    """Where replicas write, and what."""

    path: str | None = None
    """None: to standard error, and so into Ray's own logs."""
    requests: bool = True
    """The access log, besides faults."""
    debug: bool = False
    """Where the faults are."""


def build(args: Mapping[str, Any]) -> serve.Application:
    """Make the application that a Serve config asks for.

    `args`: the keys of [server], `model` and `insecure`, over the config file and the environment where Ray builds it.
    `host` says where Ray's proxies listen, if no others can reach them; `port` is theirs alone.

    Raises:
        ConfigError: they cannot be; or there is no key, and `insecure` does not say that there need be none.

    """
    said = dict(args)
    insecure = said.pop("insecure", False) is True
    model = {"model": said.pop("model")} if "model" in said else {}
    flags = {**checked_table("args", "", said, Server), **checked_table("args", "", model, Profile)}
    return application(settle_server(load(), {"host": "0.0.0.0", **flags}, insecure=insecure))


def application(
    settings: ServerSettings, *, most: int = MOST_REPLICAS, gpus: float = 0, log: Log | None = None
) -> serve.Application:
    """Make the application. The keys stay out of it, since Ray keeps it: each replica has them from its environment.

    `most`: replicas, where it is not said how many there are. `gpus`: of them, what each replica has.
    """
    settings = settings._replace(api_keys=())

    def app() -> FastAPI:
        return replica_app(settings, log or Log())

    server = settings.server
    at_once = min(AT_ONCE.get(server.engine, FEW), server.max_streams)
    scale: dict[str, Any] = {"num_replicas": server.replicas}
    if server.replicas is None:
        scale = {
            "autoscaling_config": {
                "min_replicas": 1,
                "max_replicas": most,
                "target_ongoing_requests": at_once,
                "upscale_delay_s": UPSCALE_SECONDS,
            }
        }
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
    """Make the app of a replica, with its engine warm: one that does not load is told by its own words here, and by
    none where the app's lifespan runs.

    Raises:
        ConfigError, BackendError: it cannot be.

    """
    sys.setswitchinterval(SWITCH_SECONDS)
    name = serve.get_replica_context().replica_tag
    handler = logging.StreamHandler(None if log.path is None else open(log.path, "a", encoding="utf-8"))  # noqa: SIM115
    handler.setFormatter(_OfReplica(name))
    log_to(handler, requests=log.requests, debug=log.debug)
    settings = settings._replace(api_keys=keys_of_server(settings.server))
    service = Service(settings)
    service.warm_up()

    def prepare(app: FastAPI) -> None:
        kept = KEPT_VOICES.get(settings.server.engine, 0)
        home = VoiceAffinity(kept + settings.server.max_streams)
        app.state.service.metrics.labels = {"replica": name}
        app.state.calls = _Calls(home)
        if kept:
            app.state.service.on_begin = home.take_voice

    return create_app(settings, service.backend, prepare=prepare)


class VoiceAffinity:
    """What a replica tells the proxies that it has: voices that its engine has computed, and calls."""

    def __init__(self, most: int) -> None:
        """Tell of so many at most: of the latest."""

        async def have(name: str) -> str:
            return name

        self._have = serve.multiplexed(max_num_models_per_replica=most)(have)
        self._telling: set[asyncio.Task[str]] = set()

    def take(self, name: str) -> None:
        """Tell of one. The event loop's."""
        task = asyncio.create_task(self._have(name))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def take_voice(self, order: SpeechOrder) -> None:
        """Tell of the voice of an order that begins."""
        if order.voice is not None:
            self.take(order.voice)


class _Calls(dict[str, Any]):
    """The calls that are under way, by their stream; each is told of."""

    def __init__(self, home: VoiceAffinity) -> None:
        super().__init__()
        self._home = home

    def __setitem__(self, stream_sid: str, call: Any) -> None:
        super().__setitem__(stream_sid, call)
        self._home.take(call_home(stream_sid))


class _OfReplica(logging.Formatter):
    """The access log's lines with the replica's name in them; faults as they are."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        if record.name != access_log.name:
            return super().format(record)
        return json.dumps({"replica": self._name, **json.loads(record.getMessage())})
