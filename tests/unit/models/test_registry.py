"""The registry: only like is compared with like, two writers lose nothing, and one can go back."""

import json
import multiprocessing
import random
import re
from dataclasses import FrozenInstanceError, fields, replace
from datetime import datetime

import pytest

from digits.config import BASELINE
from digits.errors import CheckpointError
from digits.models import checkpoints, registering
from digits.models.registry import SHIPPED, Registry, find_best, has_best, measured, shipped_entry, short
from digits.storage import Storage
from tests.unit.models.finished import DATA, WEIGHTS, finish, register


def named_in_best_json(storage):
    return json.loads((storage / "best.json").read_bytes())["checkpoint"]


def best(storage):
    """What all who ask are told, in the same words."""
    found = find_best(storage)
    assert found == checkpoints.best_checkpoint(storage)
    return found.path.removeprefix(f"{storage.path}/")


@pytest.fixture
def storage(tmp_path):
    return Storage.open(tmp_path)


def test_the_best_checkpoint_is_replaced_only_by_a_better_one(storage):
    register(storage, "one/x", photo_score=0.9)
    register(storage, "two/x", photo_score=0.9)
    assert best(storage) == "one/x"
    register(storage, "three/x", photo_score=0.91)
    register(storage, "four/x", photo_score=0.5)
    assert best(storage) == "three/x"
    content = json.loads((storage / "best.json").read_bytes())
    assert content["checkpoint"] == "three/x"
    assert (content["score"], content["score_name"], content["run"]) == (0.91, "photo_score", "three")
    assert tuple(content["architecture"]["filters"]) == BASELINE.filters


def test_a_record_says_what_the_score_is_and_was_measured_on(storage):
    register(storage, "run/x", photo_score=0.9)
    (name,) = (storage / "registry").files()
    assert re.fullmatch(r"run--x-[0-9a-f]{12}\.json", name)
    record = json.loads((storage / "registry" / name).read_bytes())
    assert (record["format"], record["checkpoint"], record["score"]) == (1, "run/x", 0.9)
    assert record["measured_on"]["score_name"] == "photo_score"
    assert record["measured_on"]["protocol"] == "article"
    assert record["measured_on"]["fingerprint"] == DATA["fingerprint"]
    assert record["versions"] == {"digits": "0.1.0"}
    assert record["registered"].endswith("+00:00")


def test_records_are_never_changed(storage):
    register(storage, "run/x")
    (name,) = (storage / "registry").files()
    before = (storage / "registry" / name).read_bytes()
    checkpoint = checkpoints.load(storage / "run/x")
    reordered = {**checkpoint.record, "data": dict(reversed(checkpoint.record["data"].items()))}
    for same in (checkpoint, replace(checkpoint, record=reordered)):
        registering.register(storage, [same])
    assert (storage / "registry").files() == [name]
    assert (storage / "registry" / name).read_bytes() == before


@pytest.mark.parametrize(
    ("different", "told"),
    [
        ({"photo_score": None, "accuracy": 0.99}, "score_name validation_accuracy, not photo_score"),
        ({"photo_score": 0.99, "protocol": "literature"}, "protocol literature, not article"),
        ({"photo_score": 0.99, "fingerprint": "e" * 64}, "fingerprint eeeeeeeeeeee..., not ffffffffffff..."),
        (
            {"photo_score": 0.99, "fingerprint": f"{'f' * 64}+{'a' * 64}"},
            "fingerprint ffffffffffff...+aaaaaaaaaaaa..., not ffffffffffff...",
        ),
        ({"photo_score": 0.99, "split_seed": 3}, "split_seed 3, not 0"),
        ({"photo_score": 0.99, "inverted_copies": False}, "inverted_copies False, not True"),
    ],
)
def test_what_was_measured_on_something_else_is_not_compared(storage, different, told):
    register(storage, "first/x", photo_score=0.9)
    registry = register(storage, "other/x", **different)
    assert best(storage) == "first/x"
    assert told in registry.find("other/x").differences(registry.best())
    register(storage, "third/x", photo_score=0.95)
    assert best(storage) == "third/x"


def test_what_cannot_decide_who_validates_does_not_keep_scores_apart(storage):
    register(storage, "first/x", protocol="literature", path="there")
    register(storage, "second/x", protocol="literature", split_seed=5, path="here", photo_score=0.95)
    assert best(storage) == "second/x"


@pytest.mark.parametrize("weights", [None, [1.0, 1.0], [1.0, 3.0]])
def test_weights_of_sources_do_not_keep_scores_apart_that_are_measured_on_the_same_digits(weights):
    metrics = {"photo_score": 0.9, "validation_accuracy": 0.98}
    with_weights = measured({"metrics": metrics, "data": {**DATA, "weights": weights}})
    assert with_weights == measured({"metrics": metrics, "data": DATA})


def test_going_back_lasts_until_something_better_than_that_is_trained(storage):
    for name, score in (("a/x", 0.8), ("b/x", 0.95), ("c/x", 0.9)):
        register(storage, name, photo_score=score)
    registering.choose(storage, "a/x")
    assert best(storage) == "a/x"
    register(storage, "d/x", photo_score=0.7)
    assert best(storage) == "a/x"
    register(storage, "e/x", photo_score=0.85)
    assert best(storage) == "e/x"
    registering.choose(storage, f"{storage}/c/x/")
    assert best(storage) == "c/x"
    registering.choose(storage, None)
    assert best(storage) == "b/x"


def test_a_choice_decides_what_scores_are_compared_with(storage):
    register(storage, "first/x", photo_score=0.99)
    register(storage, "own/x", photo_score=0.6, fingerprint="e" * 64)
    registering.choose(storage, "own/x")
    assert best(storage) == "own/x"
    register(storage, "later/x", photo_score=0.995)
    assert best(storage) == "own/x"
    register(storage, "better/x", photo_score=0.7, fingerprint="e" * 64)
    assert best(storage) == "better/x"


def test_a_choice_must_be_of_a_checkpoint_that_can_be_read(storage):
    register(storage, "a/x")
    with pytest.raises(CheckpointError, match=r"jobs/choose\.py lists"):
        registering.choose(storage, "a/y")
    finish(storage, "b/x")
    register(storage, "b/x")
    (storage / "b/x/weights.npz").write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        registering.choose(storage, "b/x")
    assert best(storage) == "a/x"


def test_a_checkpoint_is_found_however_it_is_named(storage, monkeypatch):
    monkeypatch.chdir(storage.parent.path)
    register(storage, "a/x")
    registry = register(storage, "b/x")
    for name in ("a/x", "a/x/", f"{storage}/a/x", f"{storage.name}/a/x", f"./{storage.name}/a/x/"):
        assert registry.find(name).checkpoint == "a/x"
    uri = "s3://KEY:SECRET@bucket/runs?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"
    registry = replace(registry, storage=Storage.open(uri))
    inside = uri.replace("runs", "runs/b/x")
    for name in ("b/x", inside, inside.replace("KEY:SECRET@", ""), "s3://bucket/runs/b/x"):
        assert registry.find(name).checkpoint == "b/x"
    with pytest.raises(CheckpointError) as refused:
        registry.find(inside.replace("b/x", "c/x"))
    assert "SECRET" not in str(refused.value)


def test_a_damaged_best_checkpoint_is_refused_and_then_replaced(storage):
    register(storage, "broken/x", photo_score=0.99)
    (storage / "broken/x/weights.npz").write_bytes(b"")
    assert best(storage) == "broken/x", "nobody is served another one silently"
    registry, damaged = registering.register(storage, [finish(storage, "whole/x", photo_score=0.5)])
    assert best(storage) == registry.best().checkpoint == "whole/x"
    assert "broken/x" in damaged[0]


def test_storage_that_fails_is_no_damage(storage, monkeypatch):
    register(storage, "a/x", photo_score=0.99)
    checkpoint, read = finish(storage, "b/x", photo_score=0.5), Storage.read_bytes

    def failing(file):
        if file.path.endswith("a/x/weights.npz"):
            raise OSError(5, "Input/output error")
        return read(file)

    monkeypatch.setattr(Storage, "read_bytes", failing)
    with pytest.raises(CheckpointError, match="Input/output"):
        registering.register(storage, [checkpoint])
    monkeypatch.undo()
    assert best(storage) == "a/x"
    assert len(Registry.read(storage).entries) == 2


def test_removed_runs_do_not_count(storage):
    for name, score in (("a/x", 0.8), ("b/x", 0.95), ("c/x", 0.9)):
        register(storage, name, photo_score=score)
    (storage / "b").delete()
    assert find_best(storage) == storage / "c/x"
    for run in "ac":
        (storage / run).delete()
    assert find_best(storage) == Storage.open(SHIPPED)
    register(storage, "d/x", photo_score=0.1, protocol="literature")
    assert best(storage) == "d/x"


def test_what_follows_does_not_depend_on_the_order_of_writing(storage, tmp_path):
    for number in range(6):
        register(storage, f"{number}/x", photo_score=0.5 + number / 100, split_seed=number % 2)
    expected = best(storage)
    assert expected == "4/x"
    for seed in range(5):
        registry = Registry.read(storage)
        shuffled = random.Random(seed).sample(registry.entries, len(registry.entries))
        shuffled.sort(key=lambda entry: entry.registered)
        again = Registry(storage=storage, entries=tuple(shuffled), choices=registry.choices)
        assert again.best().checkpoint == expected


def test_a_storage_path_of_an_earlier_version_goes_on(storage):
    finish(storage, "old/x", photo_score=0.9)
    assert not has_best(storage)
    (storage / "best.json").write_bytes(b'{"checkpoint": "old/x", "score": 0.9}')
    assert has_best(storage)
    assert best(storage) == "old/x"
    assert not (storage / "registry").exists(), "reading writes nothing"
    registry = register(storage, "new/x", photo_score=0.8)
    assert best(storage) == "old/x"
    assert [entry.checkpoint for entry in registry.entries] == ["old/x", "new/x"]
    register(storage, "newer/x", photo_score=0.95)
    assert best(storage) == "newer/x"


def test_where_there_are_records_best_json_adds_none(storage):
    register(storage, "a/x", photo_score=0.8)
    finish(storage, "b/x", photo_score=0.9)
    (storage / "best.json").write_bytes(b'{"checkpoint": "b/x"}')
    registry = register(storage, "c/x", photo_score=0.7)
    assert [entry.checkpoint for entry in registry.entries] == ["a/x", "c/x"]


def test_what_an_earlier_version_did_not_measure_is_not_recorded(storage):
    record = {"name": "x", "architecture": BASELINE.to_dict()}
    checkpoints.write(storage / "old/x", weights=WEIGHTS, record=record)
    (storage / "best.json").write_bytes(b'{"checkpoint": "old/x"}')
    assert [entry.checkpoint for entry in register(storage, "new/x").entries] == ["new/x"]


def test_what_lies_elsewhere_is_not_recorded(tmp_path):
    storage = Storage.open(tmp_path) / "runs"
    elsewhere = finish(storage.parent, "elsewhere/x")
    (storage / "best.json").write_bytes(json.dumps({"checkpoint": elsewhere.path}).encode())
    assert [entry.checkpoint for entry in register(storage, "new/x").entries] == ["new/x"]


def test_records_are_made_by_name_and_stay_as_they_are(storage):
    register(storage, "a/x")
    registry = registering.choose(storage, "a/x")
    for one in (registry, registry.choice, registry.entries[0]):
        with pytest.raises(FrozenInstanceError):
            setattr(one, fields(one)[0].name, None)
        with pytest.raises(TypeError, match="takes 1 positional"):
            type(one)(None)


def test_people_read_records_choices_and_best_json_line_by_line(storage):
    register(storage, "a/x")
    registering.choose(storage, "a/x")
    files = [storage / "best.json", *(storage / "registry" / name for name in (storage / "registry").files())]
    assert re.fullmatch(r"choice-[0-9a-f]{12}\.json", files[2].name)
    assert len(files) == 3 and all(file.read_bytes().startswith(b'{\n "') for file in files)


def test_a_score_that_is_no_number_is_not_recorded(storage):
    checkpoint = finish(storage, "a/x")
    record = {**checkpoint.record, "metrics": {"photo_score": float("nan")}}
    with pytest.raises(ValueError, match="JSON"):
        registering.register(storage, [replace(checkpoint, record=record)])
    assert not Registry.read(storage).entries


def test_moments_are_written_alike_so_that_they_can_be_sorted_as_text(storage, monkeypatch):
    class Clock:
        now = staticmethod(lambda zone: datetime(2026, 11, 29, tzinfo=zone))

    monkeypatch.setattr(registering, "datetime", Clock)
    (entry,) = register(storage, "a/x").entries
    assert entry.registered == "2026-11-29T00:00:00.000000+00:00"


def test_what_an_earlier_version_trained_can_be_chosen(storage):
    finish(storage, "old/x", photo_score=0.9)
    (storage / "best.json").write_bytes(b'{"checkpoint": "old/x", "score": 0.9}')
    assert registering.choose(storage, "old/x").chosen.checkpoint == "old/x"


def test_where_choices_are_dropped_and_the_best_is_damaged_the_next_one_is_the_best(storage):
    register(storage, "a/x", photo_score=0.8)
    register(storage, "b/x", photo_score=0.9)
    (storage / "b/x/weights.npz").write_bytes(b"")
    assert registering.choose(storage, None).best().checkpoint == "a/x"
    assert best(storage) == "a/x"


@pytest.mark.parametrize("content", ["", '{"checkpoint": "gone/x"}', '{"checkpoint": "/elsewhere"}', "[]"])
def test_an_unusable_best_json_of_an_earlier_version_is_replaced(storage, content):
    (storage / "best.json").write_bytes(content.encode())
    register(storage, "new/x", photo_score=0.1)
    assert best(storage) == "new/x"


def of_mnist(**different):
    """Settings of data that are measured as the shipped checkpoint was, but for what is different."""
    record = checkpoints.read_record(Storage.open(SHIPPED))
    return {**record["data"], **different}


def test_without_any_checkpoint_the_shipped_one_serves(storage):
    assert find_best(storage) == Storage.open(SHIPPED)
    assert not has_best(storage)


def test_of_those_measured_as_the_shipped_one_a_better_one_serves(storage):
    shipped = shipped_entry()
    register(storage, "worse/x", photo_score=shipped.score - 0.01, **of_mnist())
    register(storage, "equal/x", photo_score=shipped.score, **of_mnist())
    assert Registry.read(storage).in_service() == shipped
    assert find_best(storage) == Storage.open(SHIPPED)
    register(storage, "better/x", photo_score=shipped.score + 0.001, **of_mnist())
    assert find_best(storage) == storage / "better/x"


def test_after_a_training_of_the_articles_networks_the_shipped_one_serves_until_one_is_chosen(storage):
    register(storage, "article/x", photo_score=0.9999, **of_mnist(protocol="article"))
    assert find_best(storage) == Storage.open(SHIPPED)
    # What only one of the protocols has says nothing: no "validation_fraction 0.2, not None".
    assert Registry.read(storage).find("article/x").differences(shipped_entry()) == "protocol article, not literature"
    registering.choose(storage, "article/x")
    assert find_best(storage) == storage / "article/x"
    register(storage, "later/x", photo_score=1.0, **of_mnist(protocol="article"))
    assert find_best(storage) == storage / "later/x"
    registering.choose(storage, "shipped")
    assert find_best(storage) == Storage.open(SHIPPED)
    registering.choose(storage, None)
    assert find_best(storage) == Storage.open(SHIPPED)


def test_a_choice_holds_where_what_came_after_it_is_damaged_and_not_where_it_is_damaged_itself(storage):
    shipped = shipped_entry()
    register(storage, "a/x", photo_score=shipped.score - 0.02, **of_mnist())
    register(storage, "b/x", photo_score=shipped.score - 0.03, **of_mnist())
    registering.choose(storage, "a/x")
    register(storage, "c/x", photo_score=shipped.score - 0.01, **of_mnist())
    for damaged, serves in (("c/x", storage / "a/x"), ("a/x", Storage.open(SHIPPED))):
        (storage / damaged / "weights.npz").write_bytes(b"")
        registering.register(storage, [])
        assert find_best(storage) == serves


def test_what_was_trained_on_other_digits_serves(storage):
    register(storage, "own/x", photo_score=0.5)
    assert find_best(storage) == storage / "own/x"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 2}', b'{"format": 1}'])
def test_a_record_that_cannot_be_read_is_named(storage, content):
    register(storage, "a/x")
    (storage / "registry/b--x-0.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"b--x-0\.json"):
        find_best(storage)


def test_a_record_of_another_format_is_refused_even_where_it_could_be_read(storage):
    register(storage, "a/x")
    (name,) = (storage / "registry").files()
    record = json.loads((storage / "registry" / name).read_bytes())
    (storage / "registry" / name).write_bytes(json.dumps({**record, "format": 2}).encode())
    with pytest.raises(CheckpointError, match="its format is 2"):
        find_best(storage)


def test_of_choices_that_do_not_know_each_other_the_later_one_holds(storage):
    for name in ("a/x", "b/x"):
        register(storage, name)
        registering.choose(storage, name)
    choices = [storage / "registry" / name for name in (storage / "registry").files() if name.startswith("choice-")]
    records = {file: json.loads(file.read_bytes()) for file in choices}
    (second,) = (file for file, record in records.items() if record["replaces"])
    for made, holds in (("9999", "b/x"), ("0000", "a/x")):
        second.write_bytes(json.dumps({**records[second], "replaces": [], "made": made}).encode())
        assert find_best(storage) == storage / holds


def test_only_what_is_as_long_as_a_fingerprint_is_shortened():
    assert short(f"{'x' * 40}+{'y' * 41}") == f"{'x' * 40}+{'y' * 12}..."


def write_many(path, worker, barrier):
    """Registers ten checkpoints, at the same moments as the other processes."""
    storage = Storage.open(path)
    for number in range(10):
        checkpoint = finish(storage, f"run-{worker}-{number}/x", photo_score=(worker * 10 + number) / 100)
        barrier.wait(60)
        registering.register(storage, [checkpoint])


def test_processes_that_finish_at_once_lose_nothing(storage):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    writers = [context.Process(target=write_many, args=(storage.path, worker, barrier)) for worker in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(Registry.read(storage).entries) == 20
    assert best(storage) == named_in_best_json(storage) == "run-1-9/x"


def test_best_json_is_gone_where_nothing_that_was_trained_counts(storage):
    register(storage, "run/x", photo_score=0.9)
    registering.choose(storage, "shipped")
    assert not (storage / "best.json").exists() and find_best(storage) == Storage.open(SHIPPED)
    registering.choose(storage, "shipped")
    registering.choose(storage, None)
    assert named_in_best_json(storage) == "run/x"
