"""The limits of a request: what they are, and that none can be switched off."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, asdict
from threading import Event, Semaphore

import numpy as np
import pytest
from starlette.testclient import TestClient

from digits.errors import ConfigurationError
from digits.images import encode_png, to_rgb
from digits.models.inference import Classifier
from digits.service import api, responses
from digits.service.api import create_api
from digits.service.limits import TINY_BYTES, Limits, are_small, is_tiny
from tests.unit.service.pictures import drawn_digit, encoded

ONE_TENSOR = {"inputs": [{"name": "images", "shape": [1, 28, 28], "datatype": "UINT8", "data": [0] * 784}]}
EIGHT = {"shape": [8, 28, 28], "data": [0] * (8 * 784)}
DEFAULTS = {"max_body_bytes": 20_000_000, "max_files": 16, "max_batch": 1024, "num_threads": 2}


def test_limits_are_what_the_documents_and_a_replicas_memory_count_on():
    assert asdict(Limits()) == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("value", [0, -1, 0.5, 2.0, "16", None])
def test_no_limit_can_be_left_out(name, value):
    with pytest.raises(ConfigurationError) as refused:
        Limits(**{name: value})
    assert refused.value.happened == f"{name} = {value!r}"
    assert refused.value.remedy == f"leave {name} out to use {DEFAULTS[name]}"
    assert getattr(Limits(**{name: 1}), name) == 1


def test_limits_are_named_and_stay_as_they_are():
    with pytest.raises(TypeError):
        Limits(5)
    with pytest.raises(FrozenInstanceError):
        Limits().max_files = 1


@pytest.mark.parametrize(
    ("pictures", "small"),
    [
        ([encode_png(drawn_digit(280))], True),
        ([encode_png(drawn_digit(28))] * 16, True),
        ([encode_png(drawn_digit(280))] * 2, False),
        ([encode_png(np.zeros((1000, 1000), np.uint8))], False),
        ([encode_png(np.zeros((250, 400), np.uint8))], True),
        ([encode_png(np.zeros((250, 400), np.uint8)), encode_png(np.zeros((1, 1), np.uint8))], False),
        ([bytes(25_000)] * 2, True),
        ([bytes(50_001)], False),
        ([b"no picture at all"], True),
    ],
    ids=[
        "canvas",
        "sixteen",
        "two together",
        "few bytes of many pixels",
        "most pixels",
        "one pixel more",
        "most bytes",
        "one byte more",
        "refused at once",
    ],
)
def test_what_is_small_is_so_in_bytes_and_in_pixels(pictures, small):
    assert are_small(pictures) is small


@pytest.mark.parametrize(
    ("path", "work"),
    [
        ("/predict", ["are_small", "describe_answer", "as_json"]),
        ("/read", ["are_small", "describe_reading", "as_json"]),
        ("/sheet", ["are_small"]),
    ],
)
def test_what_takes_long_is_done_outside_of_the_event_loop(client, monkeypatch, path, work):
    """On it, everybody else would wait."""
    done = []

    def noted(name, function):
        def note(*arguments, **options):
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            done.append(name)
            return function(*arguments, **options)

        return note

    for name in ("are_small", "describe_answer", "describe_reading", "describe_sheet", "as_json"):
        monkeypatch.setattr(api, name, noted(name, getattr(api, name)))
    client.post(f"{path}?explain=true", content=encode_png(drawn_digit()))
    assert done == work


@pytest.mark.parametrize(
    ("pictures", "tiny"),
    [
        ([encode_png(np.zeros((28, 28), np.uint8))], True),
        ([encode_png(np.zeros((28, 28, 3), np.uint8))], True),
        ([encode_png(np.zeros((28, 29), np.uint8))], False),
        ([encode_png(np.zeros((29, 28), np.uint8))], False),
        ([encode_png(np.zeros((28, 28), np.uint8))] * 2, False),
        ([encode_png(np.zeros((28, 28), np.uint8)) + bytes(TINY_BYTES)], False),
        ([encoded("BMP", np.zeros((28, 28, 3), np.uint8))], False),
        ([b""], False),
    ],
    ids=["grey", "colour", "wider", "higher", "two", "long", "another format", "empty"],
)
def test_one_png_file_of_28x28_is_tiny(pictures, tiny):
    assert is_tiny(pictures) is tiny


def threads_of(monkeypatch, client, path, **request):
    """The names of the threads that classified for one request, without their numbers."""
    names = []
    read = Classifier.logits

    def noted(self, images):
        names.append(threading.current_thread().name.split("_")[0])
        return read(self, images)

    monkeypatch.setattr(Classifier, "logits", noted)
    assert client.post(path, **request).status_code == 200
    return set(names)


def test_what_takes_less_time_than_to_hand_it_to_a_thread_is_done_at_once(client, monkeypatch, read_mnist):
    image = read_mnist("train-11-of-12")[0][0]
    path = "/v2/models/digits/infer"
    at_once = threads_of(monkeypatch, client, "/predict", content=encode_png(image))
    assert at_once == threads_of(monkeypatch, client, path, json=ONE_TENSOR)
    assert at_once.isdisjoint({"small", "large"})
    in_threads = [
        threads_of(monkeypatch, client, "/predict", content=encode_png(228 - image // 2)),
        threads_of(monkeypatch, client, "/predict", content=encode_png(to_rgb(drawn_digit(28)[..., 0]))),
        threads_of(monkeypatch, client, "/predict", content=encoded("BMP", to_rgb(image))),
        threads_of(monkeypatch, client, "/predict", files=[("file", encode_png(image))] * 2),
        threads_of(monkeypatch, client, path, json={"inputs": [dict(ONE_TENSOR["inputs"][0], **EIGHT)]}),
    ]
    assert in_threads == [{"small"}] * 5


def test_an_answer_at_once_is_the_one_that_a_thread_gives(service, read_mnist):
    answered = 0
    for image in read_mnist("train-11-of-12")[0][:200]:
        at_once = service.recognise_at_once(service.model, encode_png(image))
        (answer,) = service.recognise(service.model, [encode_png(image)])
        if at_once is not None:
            answered += 1
            assert np.array_equal(at_once.probabilities, answer.probabilities)
            assert np.array_equal(at_once.seen, answer.seen)
            assert (at_once.digit, at_once.confidence) == (answer.digit, answer.confidence)
    assert answered > 150


def test_a_tiny_picture_that_is_damaged_is_refused_as_any_other(client, read_mnist):
    whole = encode_png(read_mnist("train-11-of-12")[0][0])
    answer = client.post("/predict", content=whole[: len(whole) // 2])
    assert (answer.status_code, answer.json()["reason"]) == (422, "damaged")


def test_probabilities_of_many_tensors_are_written_outside_of_the_event_loop(client, monkeypatch):
    written = []

    def note(content):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        written.append(content)
        return responses.as_json(content)

    monkeypatch.setattr("digits.service.inference.routes.as_json", note)
    answer = client.post("/v1/models/digits:predict", json={"instances": [[[0] * 28] * 28] * 8})
    assert [answer.json()] == written


def test_pages_under_way_keep_no_small_picture_waiting(service, monkeypatch):
    page, go_on, under_way = encode_png(np.zeros((1000, 1000), np.uint8)), Event(), Semaphore(0)

    def wait(*arguments, **options):
        under_way.release()
        assert go_on.wait(60)
        return []

    monkeypatch.setattr(service, "read", wait)
    with TestClient(create_api(service)) as client, ThreadPoolExecutor() as others:
        try:
            pages = [others.submit(client.post, "/read", content=page) for _ in range(Limits().num_threads + 1)]
            for _ in range(Limits().num_threads):
                assert under_way.acquire(timeout=60)
            answers = [
                others.submit(client.post, "/predict", content=encode_png(drawn_digit())),
                others.submit(client.post, "/v2/models/digits/infer", json=ONE_TENSOR),
            ]
            assert [answer.result(timeout=30).status_code for answer in answers] == [200, 200]
            assert not under_way.acquire(blocking=False), "so many pages at a time bound a replica's memory"
            assert not any(each.done() for each in pages)
        finally:
            go_on.set()
