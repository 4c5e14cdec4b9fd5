"""Checkpoints: what is written is read back; what is damaged or foreign is refused."""

import io
import json
import pickle

import numpy as np
import pytest

from digits.config import BASELINE
from digits.models import checkpoints
from digits.models.checkpoints import CheckpointError
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


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"checkpoint": 3}'])
def test_a_broken_best_json_is_a_clear_error(tmp_path, content):
    (tmp_path / "best.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"best\.json"):
        checkpoints.best_checkpoint(str(tmp_path))
