"""jobs/pack.py: one folder of both networks, which is a checkpoint like any other; what is damaged is not packed."""

import shutil

import pytest

from digits.commands.packing import PackSettings, pack
from digits.errors import CheckpointError, ConfigurationError
from digits.models import checkpoints
from digits.models.registry import SHIPPED
from digits.reading.networks import Networks
from digits.storage import Storage
from tests.unit.models.finished import finish


@pytest.fixture
def trained(tmp_path):
    return finish(Storage.open(tmp_path), "run/mine", photo_score=0.7)


def test_both_networks_lie_in_one_folder_and_load_as_one(trained, tmp_path):
    document = pack(
        PackSettings(checkpoint=trained.path, reader=str(SHIPPED / "reader"), output=str(tmp_path / "both"))
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
