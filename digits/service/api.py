"""The HTTP API and the page, as a FastAPI application that knows no Ray.

POST /predict takes pictures, /v2 speaks the Open Inference Protocol, / is the page. Every mistake of a client is
answered in one shape, {"detail": "..."}, with a 4xx status; under /v2 the protocol's own key, error, repeats the text.
"""

import asyncio
import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import digits
from digits.errors import RequestError
from digits.images import encode_png, to_rgb
from digits.service import inference_protocol as protocol
from digits.service.gate import Gate, problem
from digits.service.limits import Limits
from digits.service.service import Answer, Model, Refusal, Service

STATIC = Path(__file__).parent / "static"
_PAGE_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; connect-src 'self'; img-src 'self' data: blob:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# curl --data-binary and fetch announce a raw body with these; its bytes tell whether it is a picture.
_RAW_TYPES = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})
_MULTIPART = "multipart/form-data"
_STATUS_OF_REFUSAL = {"unknown_format": 415, "too_many_pixels": 413}
_Result = TypeVar("_Result")


class Refused(HTTPException):
    """A request that is answered with a 4xx; `reason` is one word for counting."""

    def __init__(self, status_code: int, reason: str, detail: str) -> None:
        super().__init__(status_code, detail)
        self.reason = reason

    @classmethod
    def because(cls, status_code: int, error: RequestError) -> Self:
        """The refusal that tells a client of `error`."""
        return cls(status_code, error.reason, str(error))


class Prediction(BaseModel):
    """What the network says about one picture."""

    digit: int = Field(ge=0, le=9, examples=[7])
    confidence: float = Field(ge=0, le=1, description="Calibrated probability of `digit`.", examples=[0.998])
    probabilities: list[float] = Field(min_length=10, max_length=10, description="Of the digits 0 to 9.")
    model: str = Field(description="Name of the checkpoint that answered.")
    image: str | None = Field(None, description="With explain=true: the 28x28 PNG the network saw, as a data URL.")


class Problem(BaseModel):
    """Why there is no answer: the shape of every error."""

    detail: str


class Predictions(BaseModel):
    """Answers to several pictures, in their order."""

    predictions: list[Prediction | Problem]


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        400: "The request cannot be parsed",
        401: "The API key is missing or wrong, where one is configured",
        413: "The body or the picture is too large",
        415: "Not a picture in a format that is read here",
        422: "No digit was found, the file is damaged, or a parameter is invalid",
        503: "Too many requests wait, or no model is ready: try again after the seconds of Retry-After",
    }.items()
}
_PREDICT_BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        _MULTIPART: {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
    },
}
_INFER_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "object"}},
                    "outputs": {"type": "array", "maxItems": 1, "items": {"type": "object"}},
                    "parameters": {"type": "object"},
                },
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}


def create_api(service: Service, *, limits: Limits | None = None, api_key: str | None = None) -> FastAPI:
    """The application around `service`; with an `api_key` everything but the health paths asks for it."""
    limits = limits or Limits()
    # Few threads, so that a burst of large pictures waits as bytes instead of lying decoded in memory all at once.
    threads = ThreadPoolExecutor(limits.num_threads, thread_name_prefix="predict")

    async def in_thread(work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def current_model() -> Model:
        if service.model is None:
            raise HTTPException(503, "no model is ready yet", {"retry-after": "1"})
        return service.model

    api = FastAPI(
        title="digits",
        version=digits.__version__,
        summary="Reads handwritten digits.",
        # FastAPI's own pages load scripts from another host; ours work without the internet.
        docs_url=None,
        redoc_url=None,
        responses={401: _PROBLEMS[401]},
    )
    api.add_middleware(
        Gate, max_body_bytes=limits.max_body_bytes, api_key=api_key, on_rejected=service.metrics.rejected
    )
    _handle_errors(api, service)
    page, docs = (STATIC.joinpath(name).read_text(encoding="utf-8") for name in ("index.html", "docs.html"))

    @api.get("/", include_in_schema=False)
    @api.head("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    @api.get("/docs", include_in_schema=False)
    async def describe_api() -> HTMLResponse:
        return HTMLResponse(docs, headers=_PAGE_HEADERS)

    @api.get("/health", responses={503: _PROBLEMS[503]})
    async def health() -> dict[str, str]:
        """Whether a model answers, which one, and why the last checkpoint was refused if it was."""
        answer = {"status": "ok", "model": current_model().name}
        return answer if service.refused is None else {**answer, "refused": service.refused}

    @api.get("/model", responses={503: _PROBLEMS[503]})
    async def describe_model() -> dict[str, Any]:
        """Architecture, metrics, training configuration, calibration and versions of the model in service."""
        return current_model().description

    @api.post(
        "/predict",
        response_model=Prediction | Predictions,
        responses={status: _PROBLEMS[status] for status in (400, 413, 415, 422, 503)},
        openapi_extra={"requestBody": _PREDICT_BODY},
    )
    async def predict(
        request: Request,
        explain: Annotated[bool, Query(description="Add the 28x28 picture the network saw.")] = False,
    ) -> Response:
        """Read the digit in a picture: the raw body, or one or several multipart fields named `file`."""
        content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if content_type == _MULTIPART:
            pictures = await _read_files(request, limits.max_files)
        elif content_type.startswith("image/") or content_type in _RAW_TYPES:
            pictures = [await request.body()]
        else:
            raise Refused.because(
                415,
                RequestError(
                    f"the body is announced as {content_type[:100]}",
                    "image/*, application/octet-stream or multipart/form-data",
                    "send the picture's bytes as they are, or in a form field named file",
                    reason="content_type",
                ),
            )
        model = current_model()
        answers = await in_thread(partial(service.recognise, model, pictures))
        if len(answers) > 1:
            return _json({"predictions": [_describe(answer, model, explain) for answer in answers]})
        if isinstance(answers[0], Refusal):
            raise HTTPException(_STATUS_OF_REFUSAL.get(answers[0].reason, 422), answers[0].detail)
        return _json(_describe(answers[0], model, explain))

    @api.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @api.get("/v2/health/ready", responses={503: _PROBLEMS[503]})
    async def ready() -> dict[str, bool]:
        current_model()
        return {"ready": True}

    @api.get("/v2")
    async def server_metadata() -> dict[str, Any]:
        return protocol.server_metadata(digits.__version__)

    @api.get(f"/v2/models/{protocol.MODEL_NAME}")
    async def model_metadata() -> dict[str, Any]:
        return protocol.model_metadata()

    @api.get(f"/v2/models/{protocol.MODEL_NAME}/ready", responses={503: _PROBLEMS[503]})
    async def model_ready() -> dict[str, Any]:
        current_model()
        return {"name": protocol.MODEL_NAME, "ready": True}

    @api.post(
        f"/v2/models/{protocol.MODEL_NAME}/infer",
        responses={status: _PROBLEMS[status] for status in (400, 413, 503)},
        openapi_extra={"requestBody": _INFER_BODY},
    )
    async def infer(request: Request) -> Response:
        """Probabilities of prepared 28x28 images, as JSON or binary tensors (Open Inference Protocol, version 2)."""
        body = await request.body()
        model = current_model()

        def work() -> tuple[bytes, dict[str, str]]:
            wanted = protocol.parse_request(body, request.headers.get(protocol.HEADER_LENGTH), limits.max_batch)
            return protocol.build_response(wanted, service.predict(model, wanted.images))

        try:
            content, headers = await in_thread(work)
        except RequestError as error:
            raise Refused(400, f"tensor_{error.reason}", str(error)) from error
        return Response(content, headers=headers)

    return api


async def _read_files(request: Request, max_files: int) -> list[bytes]:
    """The content of every form field named `file`, in order."""
    try:
        async with request.form(max_files=max_files, max_fields=max_files) as form:
            files = [field for field in form.getlist("file") if isinstance(field, UploadFile)]
            pictures = [await field.read() for field in files]
    except FormParserError as error:
        raise Refused(400, "form", f"the form cannot be parsed: {error}") from error
    if not pictures:
        raise Refused.because(
            422,
            RequestError(
                "the form has no file in a field named file",
                "one or several pictures",
                "send each picture as a form field named file, as curl -F file=@seven.jpg does",
                reason="form",
            ),
        )
    return pictures


def _describe(answer: Answer | Refusal, model: Model, explain: bool) -> dict[str, Any]:
    if isinstance(answer, Refusal):
        return {"detail": answer.detail}
    described = {
        "digit": answer.digit,
        "confidence": round(answer.confidence, 6),
        "probabilities": [round(probability, 6) for probability in answer.probabilities.tolist()],
        "model": model.name,
    }
    if explain:
        described["image"] = "data:image/png;base64," + base64.b64encode(encode_png(to_rgb(answer.seen))).decode()
    return described


def _json(content: Any) -> Response:
    return Response(json.dumps(content, allow_nan=False, separators=(",", ":")), media_type="application/json")


def _handle_errors(api: FastAPI, service: Service) -> None:
    """Give every error the same shape."""

    @api.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        if isinstance(error, Refused):
            service.metrics.rejected(error.reason)
        return problem(request.url.path, error.status_code, error.detail, error.headers)

    @api.exception_handler(RequestValidationError)
    async def on_invalid_request(request: Request, error: RequestValidationError) -> Response:
        service.metrics.rejected("parameter")
        found = [f"{' '.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        return problem(request.url.path, 422, "; ".join(found))

    @api.exception_handler(ClientDisconnect)
    async def on_disconnect(request: Request, error: ClientDisconnect) -> Response:
        return problem(request.url.path, 499, "the client went away")  # nobody reads it, but it was no failure of ours

    @api.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> Response:
        return problem(request.url.path, 500, "the service failed; the error is in its log")
