"""The limits of a request: what they are, and that none can be switched off."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, asdict
from threading import Event, Semaphore

import numpy as np
import pytest
from starlette.testclient import TestClient

from digits.errors import ConfigurationError
from digits.images import encode_png
from digits.service import api, responses
from digits.service.api import create_api
from digits.service.limits import Limits, are_small
from tests.unit.service.pictures import drawn_digit

ONE_TENSOR = {"inputs": [{"name": "images", "shape": [1, 28, 28], "datatype": "UINT8", "data": [0] * 784}]}
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


def test_probabilities_of_many_tensors_are_written_outside_of_the_event_loop(client, monkeypatch):
    written = []

    def note(content):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        written.append(content)
        return responses.as_json(content)

    monkeypatch.setattr("digits.service.inference.routes.as_json", note)
    answer = client.post("/v1/models/digits:predict", json={"instances": [[[0] * 28] * 28]})
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
