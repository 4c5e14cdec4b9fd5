"""The Open Inference Protocol: what is read, what is written, and everything that is refused."""

import contextlib
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.errors import RequestError
from digits.service.inference.protocol import (
    HEADER_LENGTH,
    InferenceRequest,
    build_response,
    parse_instances,
    parse_request,
    read_each_by_its_kind,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 3), dtype=np.uint8)
PROBABILITIES = np.random.default_rng(1).random((2, 10), dtype=np.float32)


def tensor(**changes) -> dict:
    plain = {"name": "images", "datatype": "UINT8", "shape": [2, 28, 28, 3], "data": IMAGES.ravel().tolist()}
    return {key: value for key, value in {**plain, **changes}.items() if value is not ...}


def body(*inputs: dict, **more) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def parse(data: bytes, header_length: str | None = None, max_batch: int = 8) -> InferenceRequest:
    return parse_request(data, header_length, max_batch)


def binary(size: int = IMAGES.size, raw: bytes = IMAGES.tobytes(), **more) -> tuple[bytes, str]:
    header = body(tensor(data=..., parameters={"binary_data_size": size}), **more)
    return header + raw, str(len(header))


def test_images_with_three_equal_channels_are_read_in_grey_and_the_others_in_colour():
    images = np.random.default_rng(2).integers(0, 256, (5, 28, 28, 3), dtype=np.uint8)
    images[1::2] = images[1::2, ..., :1]
    batches = []

    def read(batch: np.ndarray) -> np.ndarray:
        batches.append(batch)
        return np.repeat(batch.reshape(len(batch), -1)[:, :1], 10, axis=1).astype(np.float32)

    answers = read_each_by_its_kind(read, images)

    assert np.array_equal(answers[:, 0], images[:, 0, 0, 0])
    grey, colour = batches
    assert np.array_equal(grey, images[1::2, ..., 0]) and np.array_equal(colour, images[::2])


@pytest.mark.parametrize("data", [IMAGES.tolist(), IMAGES.ravel().tolist()], ids=["nested", "flat"])
def test_json_tensors_are_read(data):
    request = parse(body(tensor(data=data), id="seven"))
    np.testing.assert_array_equal(request.images, IMAGES)
    assert request.images.dtype == np.uint8
    assert (request.id, request.binary_output) == ("seven", False)


def test_binary_tensors_are_read():
    request = parse(*binary(parameters={"binary_data_output": True}))
    np.testing.assert_array_equal(request.images, IMAGES)
    assert request.binary_output


def test_the_outputs_own_wish_for_binary_wins():
    outputs = [{"name": "probabilities", "parameters": {"binary_data": False}}]
    assert not parse(*binary(outputs=outputs, parameters={"binary_data_output": True})).binary_output


def test_json_answers_hold_the_probabilities():
    content, headers = build_response(InferenceRequest(images=IMAGES, id="a", binary_output=False), PROBABILITIES)
    answer = json.loads(content)
    assert headers == {"content-type": "application/json"}
    assert (answer["model_name"], answer["id"]) == ("digits", "a")
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP32", [2, 10])
    np.testing.assert_array_equal(np.float32(output["data"]).reshape(2, 10), PROBABILITIES)


def test_binary_answers_hold_the_probabilities():
    content, headers = build_response(InferenceRequest(images=IMAGES, id=None, binary_output=True), PROBABILITIES)
    length = int(headers[HEADER_LENGTH])
    (output,) = json.loads(content[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 80}
    np.testing.assert_array_equal(np.frombuffer(content[length:], "<f4").reshape(2, 10), PROBABILITIES)


REFUSED = {
    "text": b"seven",
    "no object": b"[1]",
    "deep": b"[" * 100_000,
    "not utf-8": b"\xff\xfe{}",
    "long number": b'{"id": ' + b"9" * 10_000 + b"}",
    "no inputs": b"{}",
    "inputs is text": b'{"inputs": "images"}',
    "two inputs": body(tensor(), tensor()),
    "input is a number": b'{"inputs": [7]}',
    "other name": body(tensor(name="pixels")),
    "int8": body(tensor(datatype="INT8")),
    "datatype is a list": body(tensor(datatype=["UINT8"])),
    "fp32 over 1": body(tensor(datatype="FP32")),
    "fp32 below 0": body(tensor(datatype="FP32", data=[-0.1] * IMAGES.size)),
    "fp32 is text": body(tensor(datatype="FP32", data=["0.5"] * IMAGES.size)),
    "no shape": body(tensor(shape=...)),
    "two channels": body(tensor(shape=[2, 28, 28, 2])),
    "grey with data in colour": body(tensor(shape=[2, 28, 28, 1])),
    "three axes": body(tensor(shape=[28, 28, 3])),
    "no image": body(tensor(shape=[0, 28, 28, 3], data=[])),
    "negative": body(tensor(shape=[-1, 28, 28, 3])),
    "true": body(tensor(shape=[True, 28, 28, 3])),
    "absurd batch": body(tensor(shape=[10**12, 28, 28, 3])),
    "too many": body(tensor(shape=[9, 28, 28, 3])),
    "no data": body(tensor(data=...)),
    "too short": body(tensor(data=IMAGES.ravel().tolist()[1:])),
    "ragged": body(tensor(data=[[1], [1, 2]])),
    "words": body(tensor(data=["7"] * IMAGES.size)),
    "too bright": body(tensor(data=[256] * IMAGES.size)),
    "below zero": body(tensor(data=[-1] * IMAGES.size)),
    "fractions": body(tensor(data=[0.5] * IMAGES.size)),
    "NaN": body(tensor(data=[float("nan")] * IMAGES.size)),
    "huge": body(tensor(data=[10**30] * IMAGES.size)),
    "one truth": body(tensor(data=[True] + [0] * (IMAGES.size - 1))),
    "one truth among fractions": body(tensor(datatype="FP32", data=[True] + [0.5] * (IMAGES.size - 1))),
    "a list for each number": body(tensor(data=[[0]] * IMAGES.size)),
    "a list deeper": body(tensor(data=IMAGES[..., None].tolist())),
    "a list less deep": body(tensor(data=IMAGES.reshape(2, 28, 84).tolist())),
    "other rows": body(tensor(data=IMAGES.reshape(28, 2, 28, 3).tolist())),
    "one row shorter": body(tensor(data=[IMAGES[0].tolist(), [*IMAGES[1, 1:].tolist(), [[0] * 3] * 27]])),
    "one more": body(tensor(data=[*IMAGES.ravel().tolist(), 0])),
    "huge beside a fraction": body(tensor(datatype="FP32", data=[0.5] + [10**400] * (IMAGES.size - 1))),
    "null": body(tensor(data=[None] * IMAGES.size)),
    "other output": body(tensor(), outputs=[{"name": "logits"}]),
    "outputs is text": body(tensor(), outputs="probabilities"),
    "classification": body(tensor(), outputs=[{"name": "probabilities", "parameters": {"classification": 3}}]),
    "binary is a word": body(tensor(), parameters={"binary_data_output": "yes"}),
    "parameters is a list": body(tensor(), parameters=[]),
    "id is a number": body(tensor(), id=7),
    "binary without a header": body(tensor(data=..., parameters={"binary_data_size": IMAGES.size})),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_breaks_the_protocol_is_refused(data):
    with pytest.raises(RequestError, match=r"expected: (.|\n)*what to do: "):
        parse(data)


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (binary()[0], "-1"),
        (binary()[0], "999999"),
        (binary()[0], "9" * 5000),
        (binary()[0], "seven"),
        (binary()[0], "²"),
        (binary()[0], "10"),
        binary(size=IMAGES.size - 1),
        binary(size=-1),
        binary(size=True),
        binary(raw=IMAGES.tobytes()[1:]),
        binary(raw=IMAGES.tobytes() + b"\0"),
        (body(tensor()) + b"\0", str(len(body(tensor())))),
    ],
)
def test_binary_lengths_that_do_not_fit_are_refused(data, length):
    with pytest.raises(RequestError):
        parse(data, length)


LONG_WORD = ["x" * 100_000] + [0] * 27
ONE_LONG_WORD = {
    "flat": lambda: parse(body(tensor(shape=[1, 28, 28], data=LONG_WORD + [0] * 756))),
    "nested": lambda: parse(body(tensor(shape=[1, 28, 28], data=[[LONG_WORD] + [[0] * 28] * 27]))),
    "instances": lambda: parse_instances(json.dumps({"instances": [[LONG_WORD] + [[0] * 28] * 27]}).encode(), 8),
}


@pytest.mark.parametrize("parse_it", ONE_LONG_WORD.values(), ids=ONE_LONG_WORD)
def test_a_long_text_among_the_numbers_is_refused_before_it_takes_its_length_for_each_of_them(parse_it):
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="something else than numbers"):
            parse_it()
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("instances", "told"),
    [
        ([[[0] * 28] * 28, [[0] * 28] * 27], "neither flat nor nested"),
        ([[[0] * 28] * 28, 7], "neither flat nor nested"),
        ([[[[0, 0, 0]] * 28] * 28, [[[0]] * 28] * 28], "neither flat nor nested"),
        ([[[0] * 28] * 27 + [[True] * 28]], "something else than numbers"),
        ([[]], "has the shape \\[1, 0\\]"),
        ([[[[[0]]]]], "has the shape \\[1, 1, 1, 1, 1\\]"),
    ],
    ids=["shorter image", "number for an image", "two kinds of pixels", "truth", "empty image", "too deep"],
)
def test_instances_that_are_not_alike_or_no_images_are_refused(instances, told):
    with pytest.raises(RequestError, match=told):
        parse_instances(json.dumps({"instances": instances}).encode(), 8)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("aé1", max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aé1", max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    changes=st.dictionaries(st.sampled_from(["name", "datatype", "shape", "data", "parameters"]), json_values),
    more=st.dictionaries(st.sampled_from(["inputs", "outputs", "parameters", "id"]), json_values),
)
def test_any_json_is_read_or_refused(changes, more):
    data = json.dumps({"inputs": [{**tensor(data=[]), **changes}], **more}).encode()
    with contextlib.suppress(RequestError):
        parse(data)
