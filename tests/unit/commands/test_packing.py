"""jobs/pack.py: one folder of both networks, which is a checkpoint like any other; what is damaged is not packed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from digits.commands import packing
from digits.commands.packing import PackSettings, pack
from digits.errors import CheckpointError, ConfigurationError
from digits.models import checkpoints
from digits.models.registry import SHIPPED
from digits.reading.confidence import Confidence
from digits.reading.networks import Networks
from digits.storage import Storage
from tests.unit.models.finished import finish


@pytest.fixture
def trained(tmp_path):
    return finish(Storage.open(tmp_path), "run/mine", photo_score=0.7)


def test_both_networks_lie_in_one_folder_and_load_as_one(trained, tmp_path):
    document = pack(
        PackSettings(checkpoint=trained.path, reader=str(SHIPPED / "reader"), output=str(tmp_path / "both"), photos=2)
    )
    assert document["checkpoint"] == str(tmp_path / "both") and document["name"] == "mine"
    networks = Networks.load(str(tmp_path / "both"))
    assert networks.has_own_reader
    assert networks.reader.record["name"] == document["reader"]
    assert networks.checkpoint.record["metrics"] == trained.record["metrics"]
    files = {path.relative_to(tmp_path / "both").as_posix() for path in (tmp_path / "both").rglob("*.*")}
    graphs = {"grey.onnx", "colour.onnx"}
    assert files == {"checkpoint.json", "weights.npz", *graphs, "reader/network.onnx", "reader/reader.json"}
    assert set(checkpoints.load(str(tmp_path / "both")).record["sha256"]) == {"weights.npz", *graphs}


def test_nothing_is_overwritten_and_nothing_damaged_is_packed(trained, tmp_path):
    reader = str(SHIPPED / "reader")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="there is something in"):
        pack(PackSettings(checkpoint=trained.path, reader=reader, output=str(tmp_path / "full")))
    shutil.copytree(reader, tmp_path / "damaged")
    with (tmp_path / "damaged" / "network.onnx").open("ab") as network:
        network.write(b"!")
    for checkpoint, source in ((trained.path, tmp_path / "damaged"), (str(tmp_path / "nowhere"), reader)):
        with pytest.raises(CheckpointError):
            pack(PackSettings(checkpoint=checkpoint, reader=str(source), output=str(tmp_path / "both")))
        assert not (tmp_path / "both").exists()


def test_how_sure_both_sound_is_fitted_on_simulated_photos(tmp_path):
    settings = PackSettings(checkpoint=str(SHIPPED), reader=str(SHIPPED / "reader"), output="", photos=40)
    documents = [pack(replace(settings, output=str(tmp_path / name))) for name in ("one", "two")]
    one, two = (Networks.load(document["checkpoint"]).reader for document in documents)
    assert one.confidence_of_one == two.confidence_of_one != Confidence()
    assert one.confidence == Networks.load(str(SHIPPED)).reader.confidence
    assert 0.5 < one.confidence_of_one(0.9999) <= 1
    with pytest.raises(ConfigurationError, match="--photos 1"):
        pack(replace(settings, output=str(tmp_path / "three"), photos=1))


def test_nothing_is_written_while_it_is_being_fitted(tmp_path, monkeypatch):
    def interrupted(count):
        raise KeyboardInterrupt

    monkeypatch.setattr(packing, "simulated_photos", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pack(PackSettings(checkpoint=str(SHIPPED), reader=str(SHIPPED / "reader"), output=str(tmp_path / "both")))
    assert not (tmp_path / "both").exists()


def test_the_photos_are_the_same_each_time_and_of_both_kinds():
    one, two = (list(packing.simulated_photos(6)) for _ in range(2))
    assert [label for _, label in one] == [label for _, label in two]
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(one, two, strict=True))
    assert len({photo.shape for photo, _ in one}) > 1 and {photo.shape[:2] for photo, _ in one[1::2]} == {(240, 240)}
