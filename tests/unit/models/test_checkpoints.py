"""Checkpoints: what is written is read back; what is damaged or foreign is refused."""

import io
import json
import pickle

import numpy as np
import pytest

from digits.config import BASELINE
from digits.models import checkpoints
from digits.models.calibration import UsualEnergy
from digits.models.checkpoints import CheckpointError
from digits.models.inference import build_classifier
from digits.storage import Storage


def random_weights(seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in BASELINE.weight_shapes().items()}


def write_checkpoint(path, **changes):
    record = {"name": "baseline-seed0", "architecture": BASELINE.to_dict(), **changes.pop("record", {})}
    checkpoints.write(Storage.open(path), **{"weights": random_weights(), "record": record, **changes})
    return path


def test_what_is_written_is_read_back(tmp_path):
    path = write_checkpoint(tmp_path / "one", record={"calibration": {"temperature": 1.25}})
    checkpoint = checkpoints.load(str(path))
    assert checkpoint.architecture == BASELINE
    assert (checkpoint.name, checkpoint.temperature) == ("baseline-seed0", 1.25)
    for name, array in random_weights().items():
        assert np.array_equal(checkpoint.weights[name], array)


def test_a_missing_checkpoint_says_how_to_make_one(tmp_path):
    with pytest.raises(CheckpointError, match="make train"):
        checkpoints.load(str(tmp_path / "nothing"))


@pytest.mark.parametrize("name", ["weights.npz", "checkpoint.json"])
@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[::-1]])
def test_a_damaged_file_is_refused(tmp_path, name, damage):
    path = write_checkpoint(tmp_path / "one")
    (path / name).write_bytes(damage((path / name).read_bytes()))
    with pytest.raises(CheckpointError, match=name.split(".")[0]):
        checkpoints.load(str(path))


def replace_weights(path, data):
    """Plant another weights file with a matching SHA-256, as an attacker would."""
    record = json.loads((path / "checkpoint.json").read_text())
    import hashlib

    record["sha256"]["weights.npz"] = hashlib.sha256(data).hexdigest()
    (path / "checkpoint.json").write_text(json.dumps(record))
    (path / "weights.npz").write_bytes(data)


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a checkpoint ran code",))


def test_a_checkpoint_cannot_run_code(tmp_path):
    path = write_checkpoint(tmp_path / "one")
    buffer = io.BytesIO()
    np.savez(buffer, bomb=np.array([Bomb()], dtype=object), allow_pickle=True)
    for planted in (buffer.getvalue(), pickle.dumps(Bomb())):
        replace_weights(path, planted)
        with pytest.raises(CheckpointError, match="plain arrays"):
            checkpoints.load(str(path))


@pytest.mark.parametrize("change", ["missing", "shape", "dtype", "nan"])
def test_arrays_that_do_not_fit_the_architecture_are_refused(tmp_path, change):
    weights = random_weights()
    if change == "missing":
        del weights["output/bias"]
    elif change == "shape":
        weights["output/bias"] = np.zeros(11, np.float32)
    elif change == "dtype":
        weights["output/bias"] = weights["output/bias"].astype(np.float64)
    else:
        weights["output/bias"][0] = np.nan
    path = write_checkpoint(tmp_path / "one", weights=weights)
    with pytest.raises(CheckpointError):
        checkpoints.load(str(path))


def test_an_unknown_format_or_architecture_is_refused(tmp_path):
    path = write_checkpoint(tmp_path / "one", record={"format": 99})
    with pytest.raises(CheckpointError, match="format"):
        checkpoints.load(str(path))
    path = write_checkpoint(tmp_path / "two", record={"architecture": {"filters": [8], "layers": "evil"}})
    with pytest.raises(CheckpointError, match="architecture"):
        checkpoints.load(str(path))


def test_a_checkpoint_of_arrays_alone_holds_no_other_file_and_one_with_more_holds_what_was_given(tmp_path):
    assert sorted(path.name for path in write_checkpoint(tmp_path / "one").iterdir()) == [
        "checkpoint.json",
        "weights.npz",
    ]
    path = write_checkpoint(tmp_path / "two", optimizer={"000": np.arange(3)}, keras_model=b"keras")
    assert sorted(path.name for path in path.iterdir()) == [
        "checkpoint.json", "model.keras", "optimizer.npz", "weights.npz",
    ]  # fmt: skip
    record = checkpoints.load(str(path)).record
    assert record["format"] == 1
    assert (path / "checkpoint.json").read_text().startswith('{\n "format": 1,\n'), "people read it, too"
    assert set(record["sha256"]) == {"weights.npz", "optimizer.npz", "model.keras"}
    assert checkpoints.read_verified(Storage.open(path), record, "model.keras") == b"keras"
    (array,) = checkpoints.read_arrays(Storage.open(path), record, "optimizer.npz").values()
    assert array.tolist() == [0, 1, 2]


def test_a_finished_checkpoint_brings_its_network_for_both_kinds_of_images(tmp_path):
    path = write_checkpoint(tmp_path / "one", graphs=(b"in grey", b"in colour"))
    assert checkpoints.load(str(path)).graphs == (b"in grey", b"in colour")
    (path / "colour.onnx").write_bytes(b"planted")
    with pytest.raises(CheckpointError, match=r"one/colour\.onnx is damaged"):
        checkpoints.load(str(path))
    assert checkpoints.load(str(write_checkpoint(tmp_path / "two"))).graphs is None


def test_what_is_no_plain_array_is_not_written():
    with pytest.raises(ValueError, match="allow_pickle"):
        checkpoints.pack_arrays({"bomb": np.array([Bomb()], dtype=object)})


def test_a_file_that_is_not_there_or_not_in_the_record_is_refused(tmp_path):
    path = write_checkpoint(tmp_path / "one", optimizer={"000": np.arange(3)})
    record = checkpoints.load(str(path)).record
    (path / "model.keras").write_bytes(b"planted")
    with pytest.raises(CheckpointError, match="SHA-256 None"):
        checkpoints.read_verified(Storage.open(path), record, "model.keras")
    (path / "optimizer.npz").unlink()
    with pytest.raises(CheckpointError, match=r"one/optimizer\.npz cannot be read"):
        checkpoints.read_arrays(Storage.open(path), record, "optimizer.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": None}, {"sha256": ["weights.npz"]}, {"name": None}, {"name": 7}, {"architecture": None},
        {"calibration": None}, *({"calibration": {"temperature": value}} for value in (None, "1.5", True, [1.5])),
        *({"calibration": {"temperature": value}} for value in (0, 0.0, -1, float("nan"), float("inf"))),
    ],
)  # fmt: skip
def test_a_record_without_what_it_needs_is_refused_with_its_path(tmp_path, change):
    path = write_checkpoint(tmp_path / "one")
    record = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps({**record, **change}))
    with pytest.raises(
        CheckpointError, match=r"one/checkpoint\.json (is incomplete|describes no valid arch|has no usable cal)"
    ):
        checkpoints.load(str(path))


@pytest.mark.parametrize(
    ("calibration", "temperature"), [({}, 1), ({"temperature": 2}, 2), ({"temperature": 0.25}, 0.25)]
)
def test_any_temperature_above_zero_is_read_and_without_one_it_is_one(tmp_path, calibration, temperature):
    path = write_checkpoint(tmp_path / "one", record={"calibration": calibration})
    assert checkpoints.load(str(path)).temperature == temperature


@pytest.mark.parametrize("content", ["[]", "7", '{"name": "x"}', '{"format": 2}'])
def test_what_is_no_record_is_of_another_format(tmp_path, content):
    path = write_checkpoint(tmp_path / "one")
    (path / "checkpoint.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"one/checkpoint\.json has another format"):
        checkpoints.load(str(path))


def test_a_figure_that_is_no_number_is_written_nowhere(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_checkpoint(tmp_path / "one", record={"metrics": {"validation_loss": float("nan")}})
    assert not (tmp_path / "one" / "checkpoint.json").exists()


def test_a_checkpoint_that_was_not_calibrated_leaves_the_logits_as_they_are_and_none_is_changed(tmp_path):
    checkpoint = checkpoints.load(str(write_checkpoint(tmp_path / "one")))
    assert checkpoint.temperature == 1
    assert checkpoint.path == str(tmp_path / "one")
    with pytest.raises(AttributeError):
        checkpoint.record = {}
    with pytest.raises(TypeError, match="takes 1 positional"):
        checkpoints.Checkpoint(checkpoint.folder)


def test_infinite_and_double_weights_are_refused_by_their_names(tmp_path):
    for number, change in enumerate((np.float32(np.inf), np.float32(-np.inf))):
        weights = random_weights()
        weights["output/bias"][3] = change
        with pytest.raises(CheckpointError, match=rf"array output/bias of .*/{number}/weights\.npz is not finite"):
            checkpoints.load(str(write_checkpoint(tmp_path / str(number), weights=weights)))
    weights = {**random_weights(), "output/bias": random_weights()["output/bias"].astype(np.float64)}
    with pytest.raises(CheckpointError, match="float32"):
        checkpoints.load(str(write_checkpoint(tmp_path / "double", weights=weights)))


@pytest.mark.parametrize(
    ("cause", "of_storage"),
    [(PermissionError(13, "denied"), True), (FileNotFoundError(2, "gone"), False), (ValueError("no JSON"), False)],
)
def test_storage_that_fails_is_told_from_a_checkpoint_that_is_damaged(cause, of_storage):
    error = CheckpointError("it cannot be read")
    assert not checkpoints.is_of_storage(error)
    error.__cause__ = cause
    assert checkpoints.is_of_storage(error) is of_storage
    assert checkpoints.is_of_storage(cause) is of_storage


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"checkpoint": 3}'])
def test_a_broken_best_json_is_a_clear_error(tmp_path, content):
    (tmp_path / "best.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"best\.json"):
        checkpoints.best_checkpoint(Storage.open(tmp_path))


def test_best_json_names_a_checkpoint_inside_its_storage_path_or_in_full(tmp_path):
    for named, path in (
        ("run/x", f"{tmp_path}/run/x"),
        ("/run/x", "/run/x"),
        ("s3://bucket/x?region=us-east-1", "s3://bucket/x"),
    ):
        (tmp_path / "best.json").write_text(json.dumps({"checkpoint": named}))
        assert str(checkpoints.best_checkpoint(Storage.open(tmp_path))).partition("?")[0] == path


def test_without_a_best_json_it_is_said_what_makes_one(tmp_path):
    with pytest.raises(CheckpointError, match=r"(?s)there is no .*/best\.json.*make train"):
        checkpoints.best_checkpoint(Storage.open(tmp_path))


@pytest.mark.parametrize(
    ("training", "known"),
    [
        ({"distort": True, "outliers": 0.06}, True),
        ({"distort": False, "outliers": 0.06}, False),
        ({"distort": True, "outliers": 0.0}, False),
        ({"distort": True}, False),
        (None, False),
    ],
)
def test_whether_training_showed_what_is_no_digit_is_read(tmp_path, training, known):
    record = {} if training is None else {"training": training}
    checkpoint = checkpoints.load(str(write_checkpoint(tmp_path / "one", record=record)))
    assert checkpoint.knows_none == known
    images = np.zeros((1, 28, 28), np.uint8)
    assert build_classifier(checkpoint, 1).answers(images).knows_none == known


def test_what_energy_scores_are_usual_is_read_and_may_be_unknown(tmp_path):
    noted = {"temperature": 1.5, "energy": {"mean": 20.5, "std": 6.0}}
    path = write_checkpoint(tmp_path / "one", record={"calibration": noted})
    assert checkpoints.load(str(path)).usual_energy == UsualEnergy(mean=20.5, std=6.0)
    assert checkpoints.load(str(write_checkpoint(tmp_path / "before"))).usual_energy is None


@pytest.mark.parametrize(
    "energy",
    [None, [1, 2], {}, {"mean": 1.0}, {"mean": "1", "std": 1}, {"mean": 1, "std": 0}, {"mean": 1, "std": None}],
)
def test_an_energy_score_that_makes_no_sense_is_refused(tmp_path, energy):
    path = write_checkpoint(tmp_path / "one", record={"calibration": {"temperature": 1.0, "energy": energy}})
    with pytest.raises(CheckpointError, match="no usable energy score"):
        checkpoints.load(str(path))
