"""The paths for programs that speak KServe's or Triton's protocols, with and without the model's version in them."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import Response

import digits
from digits.errors import RequestError
from digits.service.inference import description, protocol
from digits.service.limits import TINY_BYTES, Limits
from digits.service.model import Model
from digits.service.request_body import Refused
from digits.service.responses import INFER_BODY, INSTANCES_BODY, PROBLEMS, as_json
from digits.service.service import Service

_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_MODEL = f"/v2/models/{protocol.MODEL_NAME}"
_WITH_VERSION = f"{_MODEL}/versions/{protocol.VERSION}"
_V1 = f"/v1/models/{protocol.MODEL_NAME}"
_NOT_READY = {503: PROBLEMS[503]}
_OF_TENSORS: dict[int | str, dict[str, Any]] = {status: PROBLEMS[status] for status in (400, 403, 413, 503)}


class InThread(Protocol):
    """Runs work in one of the few threads that pictures are read in."""

    def __call__(self, work: Callable[[], _Result]) -> Awaitable[_Result]:
        """What the work returns."""


def get(api: FastAPI, *paths: str, **options: Any) -> Callable[[_Function], _Function]:
    """Answer GET at some paths, and HEAD, by which load balancers and monitors ask; the first one is documented."""

    def register(function: _Function) -> _Function:
        for path in paths:
            api.get(path, **options, include_in_schema=path == paths[0])(function)
            api.head(path, include_in_schema=False)(function)
        return function

    return register


def add_inference_routes(
    api: FastAPI, service: Service, limits: Limits, current_model: Callable[[], Model], in_thread: InThread
) -> None:
    """Add the paths of the Open Inference Protocol, Triton's additions to it, and KServe's first protocol to `api`.

    No router of their own, which FastAPI would search anew for every request.
    """
    statistics = description.Statistics()

    async def probabilities_of(body: bytes, work: Callable[[], _Result]) -> _Result:
        try:
            return work() if len(body) <= TINY_BYTES else await in_thread(work)
        except RequestError as error:
            raise Refused(400, f"tensor_{error.reason}", str(error)) from error

    def predict(model: Model, images: Any) -> Any:
        start = time.perf_counter()
        probabilities = service.predict(model, images)
        statistics.add(len(images), time.perf_counter() - start, time.time())
        return probabilities

    @api.post(f"{_WITH_VERSION}/infer", include_in_schema=False)
    @api.post(f"{_MODEL}/infer", responses=_OF_TENSORS, openapi_extra={"requestBody": INFER_BODY})
    async def infer(request: Request) -> Response:
        """Probabilities of prepared 28x28 images, as JSON or binary tensors (Open Inference Protocol, version 2)."""
        body = await request.body()
        model = current_model()

        def work() -> tuple[bytes, dict[str, str]]:
            wanted = protocol.parse_request(body, request.headers.get(protocol.HEADER_LENGTH), limits.max_batch)
            return protocol.build_response(wanted, predict(model, wanted.images))

        content, headers = await probabilities_of(body, work)
        return Response(content, headers=headers)

    @get(api, _V1)
    async def model_status() -> dict[str, Any]:
        """Whether the model is ready, as KServe's first protocol tells it."""
        return {"name": protocol.MODEL_NAME, "ready": service.model is not None}

    @api.post(f"{_V1}:predict", responses=_OF_TENSORS, openapi_extra={"requestBody": INSTANCES_BODY})
    async def predict_instances(request: Request) -> Response:
        """Probabilities of prepared 28x28 images, as KServe's first protocol and TensorFlow Serving send them."""
        body = await request.body()
        model = current_model()

        def work() -> Response:
            return as_json({"predictions": predict(model, protocol.parse_instances(body, limits.max_batch)).tolist()})

        return await probabilities_of(body, work)

    @get(api, "/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @get(api, "/v2/health/ready", responses=_NOT_READY)
    async def ready() -> dict[str, bool]:
        current_model()
        return {"ready": True}

    @get(api, "/v2")
    async def server_metadata() -> dict[str, Any]:
        return description.server_metadata(digits.__version__)

    @get(api, _MODEL, _WITH_VERSION)
    async def model_metadata() -> dict[str, Any]:
        return description.model_metadata()

    @get(api, f"{_MODEL}/ready", f"{_WITH_VERSION}/ready", responses=_NOT_READY)
    async def model_ready() -> dict[str, Any]:
        current_model()
        return {"name": protocol.MODEL_NAME, "ready": True}

    @get(api, f"{_MODEL}/config", f"{_WITH_VERSION}/config")
    async def model_config() -> dict[str, Any]:
        """The model's configuration, as Triton describes it."""
        return description.model_config(limits.max_batch)

    @get(api, f"{_MODEL}/stats", f"{_WITH_VERSION}/stats")
    async def model_statistics() -> dict[str, Any]:
        """What this replica has answered so far through this protocol, as Triton tells it."""
        return statistics.to_dict()

    @api.post("/v2/repository/index")
    async def repository_index() -> list[dict[str, str]]:
        """The models that there are, as Triton lists them: one."""
        return description.repository_index(ready=service.model is not None)
