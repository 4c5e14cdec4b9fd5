"""The service on Ray Serve: one deployment that decodes, prepares and predicts in its own process.

Requests are not batched across clients: the wait for others would cost more than the prediction
(docs/log.md, "Serving"). Every setting of the deployment stands in serve/config.yaml.

How fast: docs/performance.md (jobs/benchmark.py --parts service).
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import ray
import yaml
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from ray import serve
from ray.serve import metrics
from ray.serve.context import _get_global_client  # nothing public tells on which host Serve listens

from digits.service.api import create_api
from digits.service.gate import read_api_key
from digits.service.limits import Limits
from digits.service.service import Service
from digits.service.settings import CONFIG, HAPROXY, check_reach

_LOG = logging.getLogger("ray.serve.digits")
"""Written where Ray Serve's log is, also what is information: its own begins with warnings (serve/config.yaml)."""
_CONFIDENCE_BOUNDARIES = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999]
_LATENCY_BOUNDARIES_MS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000]


class Arguments(BaseModel):
    """The `args` of the application."""

    model_config = ConfigDict(extra="forbid")

    checkpoint: str | None = None
    """Like user_config.checkpoint, for `serve run serve.app:build_app checkpoint=...`."""
    storage_path: str | None = None
    """Like user_config.storage_path."""
    api_key_file: str | None = None
    """File whose first line is the API key; without one, everything is open."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose web pages may use the service, such as https://app.example.org; without any, only its own page."""
    limits: Limits = Limits()


class RayMetrics:
    """The service's counts as Prometheus metrics of Ray, tagged with deployment, replica and application."""

    def __init__(self) -> None:
        self._predictions = metrics.Counter("digits_predictions", "Images answered.", ("digit",))
        self._confidence = metrics.Histogram(
            "digits_confidence", "Calibrated probability of the answer.", _CONFIDENCE_BOUNDARIES
        )
        self._rejected = metrics.Counter("digits_rejected_inputs", "Inputs refused.", ("reason",))
        self._latency = metrics.Histogram(
            "digits_stage_latency_ms", "Time of each stage of a request.", _LATENCY_BOUNDARIES_MS, ("stage",)
        )
        self._swaps = metrics.Counter("digits_checkpoint_swaps", "Checkpoints accepted or refused.", ("outcome",))

    def predicted(self, digit: int, confidence: float) -> None:
        self._predictions.inc(tags={"digit": str(digit)})
        self._confidence.observe(confidence)

    def rejected(self, reason: str) -> None:
        self._rejected.inc(tags={"reason": reason})

    def took(self, stage: str, seconds: float) -> None:
        self._latency.observe(1000 * seconds, tags={"stage": stage})

    def swapped(self, accepted: bool) -> None:
        self._swaps.inc(tags={"outcome": "accepted" if accepted else "refused"})


def num_nodes() -> int:
    """How many nodes of the connected cluster are alive."""
    return sum(node["Alive"] for node in ray.nodes())


def check_cluster() -> None:
    """ConfigurationError where Serve of the connected cluster, if there is one, could not spread requests over it."""
    client = _get_global_client(raise_if_no_controller_running=False) if ray.is_initialized() else None
    if client is not None:
        check_reach(client.http_config.host, haproxy=os.environ.get(HAPROXY) == "1", num_nodes=num_nodes())


@serve.deployment
@serve.ingress()
class DigitClassifier:
    """Answers HTTP requests with the model that user_config names."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments = arguments
        self.api_key = None if arguments.api_key_file is None else read_api_key(Path(arguments.api_key_file))
        self.service = Service(RayMetrics())
        self.following: asyncio.Task[None] | None = None
        _LOG.setLevel(logging.INFO)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_api(
            self.service,
            limits=self.arguments.limits,
            api_key=self.api_key,
            cors_origins=self.arguments.cors_origins,
        )

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Ray Serve calls this before the replica is healthy, and again when only user_config changed.

        Ray would stop a running replica that raises here, so a broken checkpoint is refused and the old one kept.
        """
        await asyncio.to_thread(self.service.swap, user_config)
        self.tell()
        if self.following is not None:
            self.following.cancel()
        self.following = asyncio.create_task(self.follow()) if self.service.refresh_s else None

    async def follow(self) -> None:
        """Keep to the best checkpoint, where user_config says best: replicas that start later would have another."""
        while True:
            await asyncio.sleep(self.service.refresh_s)
            before = self.service.refused
            if await asyncio.to_thread(self.service.follow) or self.service.refused != before:
                self.tell()

    def tell(self) -> None:
        """Write into the log what became of the last checkpoint."""
        if self.service.refused is not None:
            _LOG.error("The new checkpoint is refused, the old one goes on: %s", self.service.refused)
        elif self.service.model is not None:
            _LOG.info("In service: %s", self.service.model.name)


def build_app(args: Arguments) -> serve.Application:
    """The application that Ray Serve builds: the deployment with the settings of config.yaml.

    ConfigurationError where its replicas could not be reached, which `serve status` tells after `serve deploy`.
    """
    check_cluster()
    (application,) = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["applications"]
    (options,) = application["deployments"]
    chosen = {"checkpoint": args.checkpoint, "storage_path": args.storage_path}
    options["user_config"].update({key: value for key, value in chosen.items() if value is not None})
    # Ray's configuration files do not know this one: a checkpoint that is missing is still missing the third time.
    deployment: Any = DigitClassifier  # its decorator makes a serve.Deployment of it, and its types do not say so
    return deployment.options(**options, max_constructor_retry_count=3).bind(args)
