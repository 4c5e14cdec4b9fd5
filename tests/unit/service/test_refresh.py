"""A better checkpoint is taken up by itself: looked for every so many seconds, verified, swapped, and never half."""

import asyncio
import hashlib
import json
import threading

import pytest
from starlette.testclient import TestClient

from digits.config import BASELINE
from digits.errors import CheckpointError, ConfigurationError
from digits.models import registering
from digits.models.inference import built
from digits.service import deployment
from digits.service import service as service_module
from digits.service.api import create_api
from digits.service.metrics import NoMetrics
from digits.service.model import REFRESH_S, load_model, refresh_of
from digits.service.service import Service
from digits.storage import Storage
from tests.unit.models.finished import register
from tests.unit.service.pictures import SEVEN, random_weights


def test_who_was_told_to_serve_the_best_follows_it(tmp_path, metrics):
    storage = Storage.open(tmp_path)
    register(storage, "a/first", photo_score=0.8)
    service = Service(metrics)
    service.swap({"storage_path": str(tmp_path)})
    assert not service.follow()
    register(storage, "b/second", photo_score=0.9)
    assert service.follow() and service.model.name == "second" and service.refused is None
    registering.choose(storage, "a/first")
    assert service.follow() and service.model.name == "first"
    assert not service.follow()

    # A damaged one is refused once, and the old one goes on.
    register(storage, "c/third", photo_score=0.95)
    (tmp_path / "c/third/weights.npz").write_bytes(b"")
    assert service.follow() and service.model.name == "first" and "SHA-256" in service.refused
    assert not service.follow() and "SHA-256" in service.refused
    assert metrics.swaps == [True, True, True, False]

    # Storage that cannot be reached changes nothing, and is told until it can.
    record = next((tmp_path / "registry").glob("c--*"))
    content = record.read_bytes()
    record.write_bytes(b"")
    assert not service.follow() and service.model.name == "first" and "cannot be read" in service.refused
    record.write_bytes(content)
    registering.choose(storage, "a/first")
    service.follow()
    assert service.model.name == "first" and service.refused is None


GRAPHS = built(BASELINE, random_weights(3))


def plant(folder, graphs=GRAPHS, **record):
    """Put graphs into a checkpoint, with a SHA-256 that matches, and change its record."""
    content = json.loads((folder / "checkpoint.json").read_text())
    for name, graph in zip(("grey.onnx", "colour.onnx"), graphs, strict=True):
        (folder / name).write_bytes(graph)
        content["sha256"][name] = hashlib.sha256(graph).hexdigest()
    (folder / "checkpoint.json").write_text(json.dumps({**content, **record}))


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ({"graphs": (b"garbage", GRAPHS[1])}, "grey cannot be run"),
        ({"graphs": (GRAPHS[1], GRAPHS[1])}, "images in grey takes"),
        ({"calibration": {"temperature": None}}, "no usable calibration"),
        ({"architecture": {**BASELINE.to_dict(), "filters": None}}, "valid architecture"),
    ],
    ids=["garbage as a graph", "colour as grey", "no temperature", "no architecture"],
)
def test_a_best_checkpoint_that_cannot_be_loaded_is_refused_once_and_a_better_one_is_taken(
    tmp_path, metrics, planted, told
):
    storage = Storage.open(tmp_path)
    register(storage, "a/first", photo_score=0.8)
    service = Service(metrics)
    service.swap({"storage_path": str(tmp_path)})
    register(storage, "b/second", photo_score=0.9)
    plant(tmp_path / "b/second", **planted)
    assert service.follow() and service.model.name == "first"
    assert told in service.refused and "expected: " in service.refused and "what to do: " in service.refused
    assert not service.follow() and told in service.refused and metrics.swaps == [True, False]
    with pytest.raises(CheckpointError, match=told):
        Service().swap({"storage_path": str(tmp_path)})
    register(storage, "c/third", photo_score=0.95)
    plant(tmp_path / "c/third")
    assert service.follow() and service.model.name == "third" and service.refused is None


@pytest.mark.parametrize("step", ["find_checkpoint", "load_model"])
def test_whatever_else_goes_wrong_is_told_as_a_fault_of_the_checkpoint(tmp_path, monkeypatch, step):
    storage = Storage.open(tmp_path)
    register(storage, "a/first", photo_score=0.8)
    service = Service()
    service.swap({"storage_path": str(tmp_path)})
    register(storage, "b/second", photo_score=0.9)
    before = getattr(service_module, step)

    def fail(*_):
        raise KeyError("b/second")

    monkeypatch.setattr(service_module, step, fail)
    assert service.follow() is (step == "load_model") and service.model.name == "first"
    assert "the checkpoint cannot be used: KeyError: 'b/second'\n  expected: " in service.refused
    with pytest.raises(CheckpointError, match="KeyError"):
        Service().swap({"storage_path": str(tmp_path)})
    monkeypatch.setattr(service_module, step, before)
    registering.choose(storage, "a/first")
    service.follow()
    registering.choose(storage, "b/second")
    assert service.follow() and service.model.name == "second" and service.refused is None


def storage_fails(error, inside=None):
    """A loading that raises `error`, or another one because of it."""

    def fail(_):
        if inside is None:
            raise error
        raise inside from error

    return fail


BROKEN = CheckpointError("weights.npz cannot be read")


def behind(tmp_path, metrics):
    """A service with the first checkpoint; a better second one is registered since."""
    storage = Storage.open(tmp_path)
    register(storage, "a/first", photo_score=0.8)
    service = Service(metrics)
    service.swap({"storage_path": str(tmp_path)})
    register(storage, "b/second", photo_score=0.9)
    return service


@pytest.mark.parametrize(
    "fail",
    [
        storage_fails(OSError("the network is down")),
        storage_fails(TimeoutError("too slow"), BROKEN),
        storage_fails(PermissionError("not now"), BROKEN),
    ],
    ids=["by itself", "in reading", "in reading without permission"],
)
def test_a_best_checkpoint_is_tried_again_where_storage_failed(tmp_path, metrics, monkeypatch, fail):
    service = behind(tmp_path, metrics)
    with monkeypatch.context() as failing:
        failing.setattr(service_module, "load_model", fail)
        assert service.follow() and service.model.name == "first" and service.refused
        assert service.follow() and service.model.name == "first" and service.refused
    assert service.follow() and service.model.name == "second" and service.refused is None
    assert not service.follow() and metrics.swaps == [True, False, False, True]


@pytest.mark.parametrize(
    "fail",
    [
        storage_fails(FileNotFoundError("no weights.npz")),
        storage_fails(FileNotFoundError("no weights.npz"), BROKEN),
        storage_fails(ValueError("no arrays"), BROKEN),
    ],
    ids=["no file", "no file in reading", "damaged"],
)
def test_a_best_checkpoint_is_not_tried_again_where_it_is_at_fault(tmp_path, metrics, monkeypatch, fail):
    service = behind(tmp_path, metrics)
    with monkeypatch.context() as failing:
        failing.setattr(service_module, "load_model", fail)
        assert service.follow()
    assert not service.follow() and service.model.name == "first" and metrics.swaps == [True, False]


def test_who_was_told_to_serve_one_checkpoint_keeps_to_it(tmp_path):
    storage = Storage.open(tmp_path)
    register(storage, "a/first", photo_score=0.8)
    service = Service()
    service.swap({"storage_path": str(tmp_path), "checkpoint": str(tmp_path / "a/first")})
    register(storage, "b/second", photo_score=0.9)
    assert not service.follow() and service.model.name == "first"


def test_all_replicas_end_up_with_the_same(tmp_path):
    storage = Storage.open(tmp_path)
    register(storage, "a/first", photo_score=0.8)
    replicas = [Service(), Service()]
    for replica in replicas:
        replica.swap({"storage_path": str(tmp_path)})
    register(storage, "b/second", photo_score=0.9)
    replicas[0].follow()
    later = Service()
    later.swap({"storage_path": str(tmp_path)})
    replicas[1].follow()
    assert {replica.model.path for replica in (*replicas, later)} == {str(storage / "b/second")}


def test_no_request_is_lost_while_better_ones_are_taken_up(tmp_path):
    storage = Storage.open(tmp_path)
    register(storage, "a/0", photo_score=0.8, arrays=random_weights(0))
    service, answers = Service(), []
    service.swap({"storage_path": str(tmp_path)})
    with TestClient(create_api(service)) as client:
        ended = threading.Event()

        def ask():
            while not ended.is_set():
                answer = client.post("/predict", content=SEVEN)
                answers.append((answer.status_code, answer.json().get("model")))

        thread = threading.Thread(target=ask)
        thread.start()
        for number in (1, 2, 3):
            register(storage, f"a/{number}", photo_score=0.8 + number / 100, arrays=random_weights(number))
            assert service.follow()
        ended.set()
        thread.join(30)
        assert client.post("/predict", content=SEVEN).json()["model"] == "3"
    assert {status for status, _ in answers} == {200}


def test_what_is_named_while_the_best_is_being_loaded_stays(tmp_path, monkeypatch):
    """The best one's loading must not end after the swap to the named one, and take its place."""
    storage = Storage.open(tmp_path)
    register(storage, "a/first", photo_score=0.8)
    service = Service()
    service.swap({"storage_path": str(tmp_path)})
    register(storage, "b/second", photo_score=0.9)
    loading, go_on = threading.Event(), threading.Event()

    def slow(found):
        if str(found).endswith("second"):
            loading.set()
            go_on.wait(30)
        return load_model(found)

    monkeypatch.setattr("digits.service.service.load_model", slow)
    following = threading.Thread(target=service.follow)
    following.start()
    assert loading.wait(30)
    naming = threading.Thread(target=service.swap, args=({"checkpoint": str(tmp_path / "a/first")},))
    naming.start()
    naming.join(0.5)
    go_on.set()
    following.join(30)
    naming.join(30)
    assert service.model.name == "first" and service.choice == {"checkpoint": str(tmp_path / "a/first")}


@pytest.fixture
def replica(monkeypatch):
    """Our class below those that Ray Serve makes of it, in this process and without Ray."""
    monkeypatch.setattr(deployment, "RayMetrics", NoMetrics)
    ours = next(each for each in deployment.DigitClassifier.func_or_class.__mro__ if "reconfigure" in vars(each))
    return ours(deployment.Arguments())


def test_a_replica_looks_every_refresh_s_seconds_until_it_is_told_not_to(replica, tmp_path, caplog):
    storage = Storage.open(tmp_path)
    register(storage, "a/first", photo_score=0.8)
    choice = {"storage_path": str(tmp_path), "refresh_s": 1}

    async def wait_for(condition):
        for _ in range(200):
            if condition():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("nothing was taken up")

    async def live():
        await replica.reconfigure(choice)
        register(storage, "b/second", photo_score=0.9)
        await wait_for(lambda: replica.service.model.name == "second")
        register(storage, "c/third", photo_score=0.95)
        (tmp_path / "c/third/weights.npz").write_bytes(b"")
        await wait_for(lambda: "the old one goes on" in caplog.text)
        assert replica.service.model.name == "second" and "SHA-256" in replica.service.refused
        register(storage, "d/fourth", photo_score=0.96)
        plant(tmp_path / "d/fourth", (b"garbage", GRAPHS[1]))
        await wait_for(lambda: "grey cannot be run" in caplog.text)
        register(storage, "e/fifth", photo_score=0.97)
        await wait_for(lambda: replica.service.model.name == "fifth")
        await replica.reconfigure({**choice, "checkpoint": "shipped", "refresh_s": 0})
        assert replica.following is None

    asyncio.run(live())


@pytest.mark.parametrize("value", [-1, 0.5, "60", None, True, float("nan"), float("inf")])
def test_a_period_that_is_none_is_refused(value):
    with pytest.raises(ConfigurationError, match=r"(?s)refresh_s.+0 or a number of seconds from 1"):
        refresh_of({"refresh_s": value})


def test_how_often_it_looks():
    assert refresh_of({}) == REFRESH_S == 60
    assert refresh_of({"refresh_s": 0}) == 0
    assert refresh_of({"refresh_s": 1}) == 1


def test_a_replica_keeps_its_model_and_its_period_where_user_config_is_wrong(service):
    service.swap({"refresh_s": "often"})
    assert service.model.name == "baseline" and "refresh_s" in service.refused and service.refresh_s == REFRESH_S
