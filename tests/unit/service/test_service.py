"""The model in service, without HTTP: what it counts, and what it says where nothing changed or nothing was seen."""

import cv2
import numpy as np
import pytest

from digits.errors import CheckpointError, ConfigurationError, NotADigit
from digits.service import service as service_module
from digits.service.service import Refusal, Service
from digits.storage import Storage
from tests.unit.models.finished import register
from tests.unit.service.pictures import SEVEN


@pytest.fixture
def two_threads():
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    yield
    cv2.setNumThreads(before)


def test_a_request_keeps_to_one_thread(two_threads):
    Service()
    assert cv2.getNumThreads() == 1


def test_answers_to_tensors_are_counted(service, metrics):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    probabilities = service.predict(service.model, images)
    assert metrics.digits == list(probabilities.argmax(axis=1)) and metrics.stages == ["predict"]
    assert metrics.confidences == pytest.approx(probabilities.max(axis=1))


def test_what_both_networks_do_not_agree_on_is_refused_and_counted(service, metrics, monkeypatch):
    class Unlike:
        def answer(self, classify):
            raise NotADigit("nothing that looks like a digit")

    monkeypatch.setattr(service_module, "look_at", lambda photo, reader: Unlike())
    (refusal,) = service.recognise(service.model, [SEVEN])
    assert isinstance(refusal, Refusal) and refusal.reason == refusal.counted == "not_a_digit"
    assert metrics.reasons == ["not_a_digit"] and metrics.digits == []


def test_a_storage_that_can_be_read_again_is_no_longer_refused(tmp_path, metrics, monkeypatch):
    register(Storage.open(tmp_path), "a/first", photo_score=0.8)
    service = Service(metrics)
    service.swap({"storage_path": str(tmp_path)})
    with monkeypatch.context() as unreachable:
        unreachable.setattr(service_module, "find_checkpoint", lambda choice: (_ for _ in ()).throw(OSError("gone")))
        assert not service.follow() and "storage of the checkpoint cannot be read: gone" in service.refused
    assert not service.follow() and service.refused is None and service.model.name == "first"
    assert metrics.swaps == [True]


SECRET = "s3://AKIAEXAMPLE:sEcReT@bucket/runs?region=us-east-1"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(f"When listing {SECRET}: no sEcReT"), ConfigurationError),
        (CheckpointError(f"no {SECRET}"), CheckpointError),
    ],
)
def test_what_a_bucket_answers_is_told_in_three_parts_and_without_keys(service, monkeypatch, error, told):
    def fail(choice):
        raise error

    monkeypatch.setattr(service_module, "find_checkpoint", fail)
    service.choice = {"storage_path": SECRET}
    assert not service.follow()
    followed = service.refused
    service.swap({"storage_path": SECRET})
    with pytest.raises(told) as first:
        Service().swap({"storage_path": SECRET})
    assert first.value.__cause__ is None and first.value.__suppress_context__
    for message in (followed, service.refused, str(first.value)):
        assert "s3://bucket/runs" in message and "what to do" in message
        assert "AKIAEXAMPLE" not in message and "sEcReT" not in message
