"""The Open Inference Protocol, version 2, of KServe, Triton and MLServer: bytes to images, probabilities to bytes.

Tensors travel as JSON or, by the binary tensor data extension, as raw bytes behind a JSON header. Knows no HTTP.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import cv2
import numpy as np

from digits.config import CHANNELS, IMAGE_SIZE, NUM_CLASSES
from digits.errors import RequestError

MODEL_NAME = "digits"
INPUT_NAME, OUTPUT_NAME = "images", "probabilities"
HEADER_LENGTH = "inference-header-content-length"
"""HTTP header: length of the JSON part in bytes; what follows it is binary tensor data."""
VERSION = "1"
"""Of the model, in paths and answers."""
_IMAGE_SHAPES = (
    (IMAGE_SIZE, IMAGE_SIZE),
    (IMAGE_SIZE, IMAGE_SIZE, 1),
    (IMAGE_SIZE, IMAGE_SIZE, CHANNELS),
)
"""Shapes of one image that are read: grey without and with its one channel, and in colour."""
_BYTES = {"UINT8": 1, "FP32": 4}
"""Datatypes that are read, with the bytes of a number: whole numbers from 0 to 255, or numbers from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class InferenceRequest:
    """What a client asks for."""

    images: np.ndarray
    """uint8 (N, 28, 28) in grey, or (N, 28, 28, 3), N at least 1."""
    id: str | None
    """Echoed in the answer."""
    binary_output: bool
    """Whether the probabilities are to come as raw bytes."""


def parse_request(body: bytes, header_length: str | None, max_batch: int) -> InferenceRequest:
    """The images in a body; `header_length` is the text of that HTTP header. Raises nothing but RequestError."""
    length = _header_length(header_length, len(body))
    request = _parse_json(body[:length])
    inputs = request.get("inputs")
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict)):
        raise RequestError(
            "the request does not have one input", "inputs: a list of one tensor", _see_metadata(), reason="inputs"
        )
    tensor = inputs[0]
    datatype = tensor.get("datatype")
    if tensor.get("name") != INPUT_NAME or not (isinstance(datatype, str) and datatype in _BYTES):
        raise RequestError(
            f"the input is {_short(tensor.get('name'))} of datatype {_short(datatype)}",
            f"{INPUT_NAME} of datatype UINT8, 0 to 255, or FP32, 0 to 1",
            _see_metadata(),
            reason="datatype",
        )
    shape = _checked_shape(tensor.get("shape"), max_batch)
    binary_size = _parameters(tensor).get("binary_data_size")
    if binary_size is None:
        if len(body) != length:
            raise _data_error(f"{len(body) - length} bytes follow the JSON part, but no input has binary_data_size")
        images = _from_json(tensor.get("data"), shape, datatype)
    else:
        if "data" in tensor or not _is_whole(binary_size) or binary_size != math.prod(shape) * _BYTES[datatype]:
            raise _data_error(f"binary_data_size is {_short(binary_size)} for the shape {list(shape)}")
        if len(body) - length != binary_size:
            raise _data_error(f"{len(body) - length} bytes of binary data came, {binary_size} were announced")
        numbers = np.frombuffer(body, np.uint8 if datatype == "UINT8" else "<f4", offset=length).reshape(shape)
        images = numbers if datatype == "UINT8" else _from_fractions(numbers)
    identity = request.get("id")
    if identity is not None and not (isinstance(identity, str) and len(identity) <= 256):
        raise RequestError(
            "id is not a short text", "a text of up to 256 characters", "change or drop id", reason="json"
        )
    return InferenceRequest(images=_in_grey(images), id=identity, binary_output=_binary_output(request))


def parse_instances(body: bytes, max_batch: int) -> np.ndarray:
    """The images of a request in KServe's first protocol, {"instances": [...]}: uint8, as `InferenceRequest.images`.

    Numbers from 0 to 255, or, where one is no whole number, from 0 to 1. Raises nothing but RequestError.
    """
    request = _parse_json(body)
    instances = request.get("instances")
    if not (isinstance(instances, list) and instances):
        raise RequestError(
            "the request has no instances",
            'a JSON object such as {"instances": [[[0, 0, ...], ...]]}',
            "send each image as 28 rows of 28 numbers, or of 28 pixels of three numbers",
            reason="inputs",
        )
    shape = _checked_shape(_outer_shape(instances), max_batch)
    values = _numbers(instances, shape)
    return _in_grey(_as_uint8(values, "UINT8" if values.dtype.kind in "iu" else "FP32"))


def _in_grey(images: np.ndarray) -> np.ndarray:
    """uint8 (N, 28, 28, 1) without its last axis; others as they are."""
    return images[..., 0] if images.shape[3:] == (1,) else images


def read_each_by_its_kind(read: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    """Let `read` see those images of uint8 (N, 28, 28, 3) that have three equal channels as grey, uint8 (M, 28, 28).

    Clients send every digit in three channels. So one gets the same answer here as from a picture file, faster than in
    colour, and no answer depends on the rest of the batch. Returns what `read` does: float32 (N, 10).
    """
    red, green, blue = (
        plane.reshape(-1, IMAGE_SIZE, IMAGE_SIZE) for plane in cv2.split(images.reshape(-1, IMAGE_SIZE, CHANNELS))
    )
    grey = ((red == green) & (red == blue)).all(axis=(1, 2))
    if grey.all():
        return read(red)
    answers = np.empty((len(images), NUM_CLASSES), np.float32)
    answers[grey], answers[~grey] = read(red[grey]), read(images[~grey])
    return answers


def build_response(request: InferenceRequest, probabilities: np.ndarray) -> tuple[bytes, dict[str, str]]:
    """Body and HTTP headers that answer `request` with `probabilities`, float32 (N, 10)."""
    output: dict[str, Any] = {"name": OUTPUT_NAME, "datatype": "FP32", "shape": list(probabilities.shape)}
    answer: dict[str, Any] = {"model_name": MODEL_NAME, "model_version": VERSION, "outputs": [output]}
    if request.id is not None:
        answer["id"] = request.id
    if not request.binary_output:
        output["data"] = probabilities.ravel().tolist()
        return json.dumps(answer, separators=(",", ":")).encode(), {"content-type": "application/json"}
    raw = probabilities.astype("<f4").tobytes()
    output["parameters"] = {"binary_data_size": len(raw)}
    header = json.dumps(answer, separators=(",", ":")).encode()
    return header + raw, {"content-type": "application/octet-stream", HEADER_LENGTH: str(len(header))}


def _header_length(text: str | None, body_length: int) -> int:
    if text is None:
        return body_length
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= body_length):
        raise RequestError(
            f"{HEADER_LENGTH} is {_short(text)}, the body has {body_length} bytes",
            "the length of the JSON part in bytes",
            "leave the header out when the whole body is JSON",
            reason="json",
        )
    return int(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _parse_json(data: bytes) -> dict[str, Any]:
    try:
        request = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            f"the request is not JSON: {_short(str(error))}", "a JSON object", _see_metadata(), reason="json"
        ) from error
    if not isinstance(request, dict):
        raise RequestError("the request is JSON, but no object", "a JSON object", _see_metadata(), reason="json")
    return request


def _checked_shape(shape: Any, max_batch: int) -> tuple[int, ...]:
    whole = isinstance(shape, list) and all(_is_whole(size) for size in shape)
    if not whole or tuple(shape[1:]) not in _IMAGE_SHAPES or not 1 <= shape[0] <= max_batch:
        raise RequestError(
            f"{INPUT_NAME} has the shape {_short(shape)}",
            f"[N, {IMAGE_SIZE}, {IMAGE_SIZE}, {CHANNELS}], [N, {IMAGE_SIZE}, {IMAGE_SIZE}, 1] or "
            f"[N, {IMAGE_SIZE}, {IMAGE_SIZE}] with N from 1 to {max_batch}",
            "send larger batches in several requests",
            reason="shape",
        )
    return tuple(shape)


def _outer_shape(data: list[Any]) -> list[int]:
    """The shape that nested lists have where they all are as long as the first one of their kind."""
    shape: list[int] = []
    first: Any = data
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    return shape


def _from_json(data: Any, shape: tuple[int, ...], datatype: str) -> np.ndarray:
    """Nested or flat JSON numbers of a datatype as uint8 of `shape`."""
    if not isinstance(data, list):
        raise _data_error("the input has no data")
    return _as_uint8(_numbers(data, shape), datatype)


def _numbers(data: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """JSON numbers, flat or nested as `shape` says, as an array of that shape and of whatever kind they are.

    Everything is checked before there is an array: NumPy makes one of texts as long as the longest for each number.
    """
    leaves = data if len(data) == math.prod(shape) else _leaves(data, shape)
    if not set(map(type, leaves)) <= {int, float}:
        raise _data_error("data holds something else than numbers")
    return np.asarray(leaves).reshape(shape)


def _leaves(data: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """What the innermost of nested lists hold, in their order; RequestError unless they are nested as `shape` says."""
    level = [data]
    for size in shape:
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            raise _data_error(f"data is neither flat nor nested as the shape {list(shape)} says")
        level = list(chain.from_iterable(level))
    return level


def _as_uint8(values: np.ndarray, datatype: str) -> np.ndarray:
    """Numbers of a datatype as uint8 of the same shape."""
    if datatype == "FP32":
        if values.dtype.kind not in "iuf":
            raise _data_error("data holds something else than numbers")
        return _from_fractions(values)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise _data_error("data holds something else than whole numbers from 0 to 255")
    return values.astype(np.uint8)


def _from_fractions(values: np.ndarray) -> np.ndarray:
    """Numbers from 0 to 1 as uint8, 0 to 255, of the same shape."""
    if not (values.min() >= 0 and values.max() <= 1):  # also where one is not a number
        raise RequestError(
            f"FP32 holds numbers from {values.min():g} to {values.max():g}",
            "numbers from 0, black, to 1, white, in FP32",
            "divide them by 255, or send whole numbers from 0 to 255 as UINT8",
            reason="data",
        )
    return np.rint(values * 255).astype(np.uint8)


def _binary_output(request: dict[str, Any]) -> bool:
    """Whether the output is wanted as bytes; the output's own parameter overrides the request's."""
    wanted = _parameters(request).get("binary_data_output", False)
    outputs = request.get("outputs")
    if outputs is not None:
        valid = isinstance(outputs, list) and len(outputs) <= 1 and all(isinstance(item, dict) for item in outputs)
        if not valid or any(item.get("name") != OUTPUT_NAME for item in outputs):
            raise RequestError(
                "an output is asked for that is not there", OUTPUT_NAME, _see_metadata(), reason="outputs"
            )
        for item in outputs:
            if "classification" in _parameters(item):
                raise RequestError(
                    "the classification extension is not supported",
                    "plain tensors",
                    "drop the parameter",
                    reason="outputs",
                )
            wanted = _parameters(item).get("binary_data", wanted)
    if not isinstance(wanted, bool):
        raise RequestError(
            "binary data is asked for with no boolean", "true or false", _see_metadata(), reason="outputs"
        )
    return wanted


def _parameters(owner: dict[str, Any]) -> dict[str, Any]:
    parameters = owner.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestError("parameters is no JSON object", "a JSON object", "change or drop parameters", reason="json")
    return parameters


def _data_error(happened: str) -> RequestError:
    return RequestError(
        happened,
        "as many numbers as the shape says, row by row: whole ones from 0 to 255 in UINT8 (one byte each when binary), "
        "or from 0 to 1 in FP32 (four bytes each)",
        "check shape, data and binary_data_size of the input",
        reason="data",
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(value: Any) -> str:
    """A client's value, short enough to be quoted back."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _see_metadata() -> str:
    return f"compare with GET /v2/models/{MODEL_NAME}"
