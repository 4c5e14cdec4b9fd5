"""A better checkpoint is taken up by itself: looked for every so many seconds, verified, swapped, and never half."""

import asyncio
import threading

import pytest
from starlette.testclient import TestClient

from digits.errors import ConfigurationError
from digits.models import registering
from digits.service import deployment
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
    register(storage, "a/0", photo_score=0.8, weights=random_weights(0))
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
            register(storage, f"a/{number}", photo_score=0.8 + number / 100, weights=random_weights(number))
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
