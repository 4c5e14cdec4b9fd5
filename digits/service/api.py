"""The HTTP API and the page, as a FastAPI application that knows no Ray.

POST /predict takes pictures of one digit, /read any picture, /sheet photos of the sheet of fifty boxes, /v2 speaks the
Open Inference Protocol, / is the page.
Every mistake of a client is answered in one shape, {"detail": "..."}, with a 4xx status; where a picture is refused,
`reason` says why in one word; under /v2 the protocol's own key, error, repeats the text.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

import digits
from digits.errors import RequestError
from digits.service.gate import OPEN_PATHS, Gate, problem
from digits.service.inference.protocol import HEADER_LENGTH
from digits.service.inference.routes import add_inference_routes, get
from digits.service.limits import Limits, are_small, is_tiny
from digits.service.model import Model
from digits.service.request_body import Refused, pictures_of
from digits.service.responses import (
    PICTURE_BODY,
    PROBLEMS,
    PictureRead,
    PicturesRead,
    Prediction,
    Predictions,
    SheetAnswer,
    SheetAnswers,
    as_json,
    describe_answer,
    describe_reading,
    describe_sheet,
)
from digits.service.service import Refusal, Service

STATIC = Path(__file__).parent / "static"
_PAGE_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; connect-src 'self'; img-src 'self' data: blob:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_STATUS_OF_REFUSAL = {"unknown_format": 415, "no_heic_decoder": 415, "too_many_pixels": 413}
_OF_PICTURES: dict[str, Any] = {
    "responses": {status: PROBLEMS[status] for status in (400, 403, 413, 415, 422, 503)},
    "openapi_extra": {"requestBody": PICTURE_BODY},
}
_NOT_READY = RequestError(
    "no model is ready yet",
    "a service that has loaded its checkpoint",
    "try again in a moment; if it stays so, its log says why",
)
_SHOWN = 100
"""How many characters of a path are repeated."""
_Result = TypeVar("_Result")
_Answer = TypeVar("_Answer")


class NotAnswered(HTTPException):
    """A single picture that was refused, and counted when it was; `reason` says why in one word."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(_STATUS_OF_REFUSAL.get(refusal.reason, 422), refusal.detail)
        self.reason = refusal.reason


def create_api(
    service: Service,
    *,
    limits: Limits | None = None,
    api_key: str | None = None,
    cors_origins: Sequence[str] = (),
) -> FastAPI:
    """The application around `service`; with an `api_key` everything but the health paths asks for it.

    Web pages of `cors_origins`, such as https://app.example.org or * for all, may use it too.
    """
    limits = limits or Limits()
    # Few threads, so that a burst of large pictures waits as bytes instead of lying decoded in memory all at once; and
    # some of their own for small pictures, which would wait for a page a hundred times longer than they take.
    large, small = (ThreadPoolExecutor(limits.num_threads, thread_name_prefix=name) for name in ("large", "small"))

    async def in_thread(work: Callable[[], _Result], threads: ThreadPoolExecutor) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def current_model() -> Model:
        if service.model is None:
            raise HTTPException(503, str(_NOT_READY), {"retry-after": "1"})
        return service.model

    api = FastAPI(
        title="digits",
        version=digits.__version__,
        summary="Reads handwritten digits.",
        # FastAPI's own pages load scripts from another host; ours work without the internet.
        docs_url=None,
        redoc_url=None,
        responses={401: PROBLEMS[401]},
        generate_unique_id_function=lambda route: route.name,  # what generated clients call their functions
    )
    api.add_middleware(
        Gate,
        max_body_bytes=limits.max_body_bytes,
        api_key=api_key,
        on_rejected=service.metrics.rejected,
        origins=cors_origins,
    )
    if cors_origins:  # outside of the gate: a browser asks whether it may ask, and sends no key with that
        api.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["authorization", "content-type", HEADER_LENGTH],
            expose_headers=[HEADER_LENGTH, "retry-after"],
        )
    _handle_errors(api, service)
    _describe_open_paths(api)

    # Ray Serve and FastAPI both look through the paths for every request: those that are busy come first.
    async def answer(
        request: Request,
        work: Callable[[Model, list[bytes]], list[_Answer | Refusal]],
        describe: Callable[[_Answer | Refusal, str], dict[str, Any]],
        several: str,
        at_once: Callable[[Model, bytes], _Answer | None] | None = None,
    ) -> Response:
        """What there is to say of each picture of a request, under the key `several` where it has more than one.

        NotAnswered where the only one is refused. All that takes long is done in a thread: the event loop serves all.
        What `at_once` has an answer for takes less time than to hand it to one (docs/log.md, "Small requests at once").
        """
        pictures = await pictures_of(request, limits.max_files)
        model = current_model()
        if at_once is not None and is_tiny(pictures) and (found := at_once(model, pictures[0])) is not None:
            return as_json(describe(found, model.name))

        def described() -> Response | Refusal:
            found = work(model, pictures)
            if len(found) == 1 and isinstance(found[0], Refusal):
                return found[0]
            entries = [describe(one, model.name) for one in found]
            return as_json({several: entries} if len(entries) > 1 else entries[0])

        def described_if_small() -> Response | Refusal | None:
            return described() if are_small(pictures) else None

        response = await in_thread(described_if_small, small)
        if response is None:
            response = await in_thread(described, large)
        if isinstance(response, Refusal):
            raise NotAnswered(response)
        return response

    @api.post("/predict", response_model=Prediction | Predictions, **_OF_PICTURES)
    async def predict(
        request: Request,
        explain: Annotated[bool, Query(description="Add the 28x28 picture the network saw.")] = False,
    ) -> Response:
        """Read the one digit in a picture: the raw body, or one or several multipart fields named `file`."""
        describe = partial(describe_answer, explain=explain)
        return await answer(request, service.recognise, describe, "predictions", service.recognise_at_once)

    @api.post("/read", response_model=PictureRead | PicturesRead, **_OF_PICTURES)
    async def read(
        request: Request, explain: Annotated[bool, Query(description="Add each digit in 28x28.")] = False
    ) -> Response:
        """Read every digit in a picture, with boxes, lines and numbers; takes what /predict takes."""
        work = partial(service.read, explain=explain)
        return await answer(request, work, partial(describe_reading, explain=explain), "pictures")

    @api.post("/sheet", response_model=SheetAnswer | SheetAnswers, **_OF_PICTURES)
    async def sheet(
        request: Request, explain: Annotated[bool, Query(description="Add a picture of each box.")] = False
    ) -> Response:
        """Read a photo of the sheet of fifty boxes, with the model and with the article's network; takes what /read
        takes."""
        return await answer(request, service.read_sheets, partial(describe_sheet, explain=explain), "sheets")

    add_inference_routes(api, service, limits, current_model, partial(in_thread, threads=small))

    page, docs = (STATIC.joinpath(name).read_text(encoding="utf-8") for name in ("index.html", "docs.html"))

    @api.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers=_PAGE_HEADERS)

    @api.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    async def describe_api() -> HTMLResponse:
        return HTMLResponse(docs, headers=_PAGE_HEADERS)

    @api.api_route("/sheet.pdf", methods=["GET", "HEAD"], include_in_schema=False)
    async def sheet_to_print(paper: Literal["a4", "letter"] = "a4") -> FileResponse:
        return FileResponse(STATIC / f"sheet-{paper}.pdf", filename="sheet.pdf", content_disposition_type="inline")

    @get(api, "/health", responses={503: PROBLEMS[503]})
    async def health() -> dict[str, str]:
        """Whether a model answers, which one, and why the last checkpoint was refused if it was."""
        answer = {"status": "ok", "model": current_model().name}
        return answer if service.refused is None else {**answer, "refused": service.refused}

    @get(api, "/model", responses={503: PROBLEMS[503]})
    async def describe_model() -> dict[str, Any]:
        """Architecture, metrics, training configuration, calibration and versions of the model in service."""
        return current_model().description

    return api


def _describe_open_paths(api: FastAPI) -> None:
    """Leave the refusal of a key out of /openapi.json for the paths that ask for none."""
    describe = api.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        for path in OPEN_PATHS:
            for operation in document["paths"][path].values():
                operation["responses"].pop("401", None)
        return document

    api.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's manual has it


def _handle_errors(api: FastAPI, service: Service) -> None:
    """Give every error the same shape."""

    @api.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        if isinstance(error, Refused):
            service.metrics.rejected(error.reason)
        reason = error.reason if isinstance(error, NotAnswered) else None
        detail = _not_routed(request, error) if error.status_code in (404, 405) else error.detail
        return problem(request.url.path, error.status_code, detail, error.headers, reason=reason)

    @api.exception_handler(RequestValidationError)
    async def on_invalid_request(request: Request, error: RequestValidationError) -> Response:
        service.metrics.rejected("parameter")
        found = [f"{' '.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        refused = RequestError(
            "; ".join(found), "parameters as /docs describes them", "correct the parameter, or leave it out"
        )
        return problem(request.url.path, 422, str(refused))

    @api.exception_handler(ClientDisconnect)
    async def on_disconnect(request: Request, error: ClientDisconnect) -> Response:
        return problem(request.url.path, 499, "the client went away")  # nobody reads it, but it was no failure of ours

    @api.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> Response:
        failed = RequestError("the service failed", "an answer", "look into its log, which holds the error")
        return problem(request.url.path, 500, str(failed))


def _not_routed(request: Request, error: HTTPException) -> str:
    """What is told where no path answers, or none with this method; Starlette says it in two words."""
    path, method = request.url.path[:_SHOWN], request.method[:_SHOWN]
    happened = f"there is nothing at {path}" if error.status_code == 404 else f"{path} takes no {method}"
    return str(RequestError(happened, "a path and a method that /docs lists", "correct the address or the method"))
