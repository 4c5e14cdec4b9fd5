"""What the API answers: the shapes of its JSON, for clients and for /openapi.json, and how answers take them."""

import base64
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from fastapi.responses import Response
from pydantic import BaseModel, Field

from digits.images import encode_png, to_rgb
from digits.reading.answer import ReadDigit, Reading
from digits.service.service import Answer, Refusal
from digits.service.sheet import BoxRead, SheetRead


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
    reason: str | None = Field(
        None, description="Of a picture: one word, such as several_digits, not_a_digit or damaged."
    )


class Predictions(BaseModel):
    """Answers to several pictures, in their order."""

    predictions: list[Prediction | Problem]


class DigitOfPicture(BaseModel):
    """One digit of a picture."""

    digit: int = Field(ge=0, le=9, examples=[7])
    confidence: float = Field(ge=0, le=1, description="Probability that a digit is there and that it is this one.")
    probabilities: list[float] = Field(min_length=10, max_length=10, description="Of the digits 0 to 9.")
    box: list[float] = Field(
        min_length=4,
        max_length=4,
        description="Left, top, width and height in pixels of the picture as EXIF shows it.",
        examples=[[120.0, 48.5, 31.0, 60.0]],
    )
    line: int = Field(ge=0, description="Its line, from 0, in reading order.")
    number: int = Field(ge=0, description="Its number, a group of digits in a line, from 0, through all lines.")
    image: str | None = Field(None, description="With explain=true: the digit in 28x28, a PNG as a data URL.")


class PictureRead(BaseModel):
    """Every digit of one picture, in reading order."""

    text: str = Field(
        description="A space between the numbers of a line, a line break between lines.", examples=["7 42"]
    )
    numbers: list[str] = Field(description="As they are written: leading zeros stay.", examples=[["7", "42"]])
    digits: list[DigitOfPicture]
    rotation: int = Field(description="Degrees clockwise by which the picture was turned to be read.", examples=[0])
    model: str = Field(description="Name of the checkpoint that answered.")


class PicturesRead(BaseModel):
    """What was read of several pictures, in their order."""

    pictures: list[PictureRead | Problem]


class BoxOfSheet(BaseModel):
    """One box of the sheet."""

    label: int = Field(ge=0, le=9, description="The digit that should stand in it, by its column.")
    row: int = Field(ge=0, le=4, description="From 0, the top one.")
    column: int = Field(ge=0, le=9, description="From 0, the left one.")
    empty: bool = Field(description="Whether nothing is written in it: then nobody is asked.")
    digit: int | None = Field(ge=0, le=9, description="What the model reads; null where it finds nothing to read.")
    confidence: float | None = Field(ge=0, le=1, description="Calibrated probability of `digit`.")
    baseline: int | None = Field(ge=0, le=9, description="What the article's network says of the box shrunk to 28x28.")
    image: str | None = Field(None, description="With explain=true: the box, a JPEG as a data URL.")


class SheetAnswer(BaseModel):
    """The fifty boxes of the sheet, row by row, and how many are read right."""

    boxes: list[BoxOfSheet] = Field(min_length=50, max_length=50)
    written: int = Field(ge=1, le=50, description="Boxes that are not empty.")
    read: int = Field(ge=0, le=50, description="Of those, how many the model reads as they should be.")
    baseline_read: int = Field(ge=0, le=50, description="And how many the article's network does.")
    model: str = Field(description="Name of the checkpoint that answered.")


class SheetAnswers(BaseModel):
    """What was read of several sheets, in their order."""

    sheets: list[SheetAnswer | Problem]


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        400: "The request cannot be parsed",
        401: "The API key is missing or wrong, where one is configured",
        403: "A web page of another origin sent this, and is not allowed to",
        413: "The body or the picture is too large",
        415: "Not a picture in a format that is read here",
        422: "No digit or sheet was found, or several where one is asked for; the file or a parameter is invalid",
        503: "Too many requests wait, or no model is ready: try again after the seconds of Retry-After",
    }.items()
}
PICTURE_BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
    },
}
INFER_BODY = {
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

INSTANCES_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["instances"],
                "properties": {"instances": {"type": "array", "minItems": 1, "items": {"type": "array", "items": {}}}},
            }
        }
    },
}


def describe_answer(answer: Answer | Refusal, model: str, explain: bool) -> dict[str, Any]:
    """One entry of what /predict answers."""
    if isinstance(answer, Refusal):
        return {"detail": answer.detail, "reason": answer.reason}
    described = {
        "digit": answer.digit,
        "confidence": round(answer.confidence, 6),
        "probabilities": rounded(answer.probabilities.tolist(), 6),
        "model": model,
    }
    return {**described, "image": seen_url(answer.seen)} if explain else described


def describe_reading(reading: Reading | Refusal, model: str, explain: bool) -> dict[str, Any]:
    """One entry of what /read answers."""
    if isinstance(reading, Refusal):
        return {"detail": reading.detail, "reason": reading.reason}
    return {
        "text": reading.text,
        "numbers": reading.numbers,
        "digits": [describe_digit(one, explain) for one in reading.digits],
        "rotation": reading.rotation,
        "model": model,
    }


def describe_digit(one: ReadDigit, explain: bool) -> dict[str, Any]:
    """One digit of a picture."""
    described = {
        "digit": one.digit,
        "confidence": round(one.confidence, 6),
        "probabilities": rounded(one.probabilities.tolist(), 6),
        "box": rounded(one.box, 1),
        "line": one.line,
        "number": one.number,
    }
    return {**described, "image": seen_url(one.seen)} if explain and one.seen is not None else described


def describe_sheet(sheet: SheetRead | Refusal, model: str, explain: bool) -> dict[str, Any]:
    """One entry of what /sheet answers."""
    if isinstance(sheet, Refusal):
        return {"detail": sheet.detail, "reason": sheet.reason}
    return {
        "boxes": [describe_box(one, explain) for one in sheet.boxes],
        "written": sheet.written,
        "read": sheet.read,
        "baseline_read": sheet.baseline_read,
        "model": model,
    }


def describe_box(one: BoxRead, explain: bool) -> dict[str, Any]:
    """One box of a sheet."""
    described = {
        "label": one.box.label,
        "row": one.box.row,
        "column": one.box.column,
        "empty": one.box.empty,
        "digit": one.digit,
        "confidence": None if one.confidence is None else round(one.confidence, 6),
        "baseline": one.baseline,
    }
    return {**described, "image": data_url(one.shown(), "jpeg")} if explain else described


def rounded(values: Iterable[float], places: int) -> list[float]:
    """Numbers with so many decimal places."""
    return [round(float(value), places) for value in values]


def seen_url(image: np.ndarray) -> str:
    """uint8 (28, 28) as the data URL of a PNG file."""
    return data_url(encode_png(to_rgb(image)), "png")


def data_url(picture: bytes, format: str) -> str:
    """A picture file of a format as a data URL."""
    return f"data:image/{format};base64,{base64.b64encode(picture).decode()}"


def as_json(content: Any) -> Response:
    """A JSON response."""
    return Response(json.dumps(content, allow_nan=False, separators=(",", ":")), media_type="application/json")
