"""Which checkpoints the evaluation sets beside each other, and what it says of photos without a digit."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from digits.commands import study
from digits.commands.seen_photos import SeenPhotos, name_in, readings_of
from digits.commands.study import load_compared
from digits.config import BASELINE, IMPROVED, DataConfig, Recipe, TrainingConfig
from digits.errors import ConfigurationError
from digits.evaluation.comparison import Comparison
from digits.models import checkpoints
from digits.models.inference import Answers
from digits.models.registry import SHIPPED, validated_on
from digits.reading.one_digit import Look
from digits.storage import Storage
from digits.training.runs import Network, Run, write_epoch
from digits.training.state import EpochResult, TrainingState

EPOCH = EpochResult(
    epoch=1,
    train_loss=0.1,
    train_accuracy=0.9,
    validation_loss=0.1,
    validation_accuracy=0.9,
    photo_score=0.9,
    learning_rate=0.001,
    seconds=1.0,
    train_seconds=1.0,
    images_per_second=1.0,
)


@pytest.fixture
def write(tmp_path):
    """Writes a checkpoint with random weights into a run folder and gives its path."""

    def write_checkpoint(run: str, architecture: str, seed: int, *, distort: bool = False, fingerprint: str = "f"):
        shape = {"baseline": BASELINE, "improved": IMPROVED}[architecture]
        training = TrainingConfig(epochs=1, seed=seed, distort=distort)
        network = Network(architecture_name=architecture, recipe=Recipe(architecture=shape, training=training))
        folder = Storage.open(tmp_path) / run
        known = Run.read(folder).networks if (folder / "run.json").exists() else ()
        whole = Run(networks=(*known, network), data=DataConfig(), fingerprint=fingerprint)
        whole.write(folder)
        rng = np.random.default_rng(seed)
        weights = {name: rng.normal(0, 0.1, size).astype(np.float32) for name, size in shape.weight_shapes().items()}
        state = TrainingState(weights=weights, optimizer={}, history=(EPOCH,))
        write_epoch(folder / network.name, replace(whole, networks=(network,)), network, state, 1)
        return str(folder / network.name)

    return write_checkpoint


def test_seeds_count_as_trainings_of_one_network_and_distortion_as_another(write):
    judged = checkpoints.load(write("run", "improved", 0))
    others = [
        write("run", "improved", 1),
        write("run", "baseline", 0),
        write("run", "improved", 2, distort=True),
    ]
    compared = load_compared(judged, others)
    assert [(one.name, len(one.checkpoints)) for one in compared] == [
        ("baseline", 1),
        ("improved", 2),
        ("improved, distorted", 1),
    ]


def test_a_run_stands_for_its_checkpoints_and_none_counts_twice(write):
    judged = checkpoints.load(write("run", "baseline", 0))
    write("run", "baseline", 1)
    compared = load_compared(judged, [judged.path, judged.path.rsplit("/", 1)[0]])
    assert [(one.name, len(one.checkpoints)) for one in compared] == [("baseline", 2)]


def test_one_checkpoint_counts_once_whatever_its_path_looks_like_and_so_does_a_copy(write, tmp_path, monkeypatch):
    judged = checkpoints.load(write("run", "baseline", 0))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(judged.path, tmp_path / "copy")
    (tmp_path / "linked").symlink_to(tmp_path / "run")
    folder = f"run/{judged.path.rsplit('/', 1)[1]}"
    paths = [folder, f"./{folder}/", f"run/../{folder}", "run", "linked", "copy"]
    (compared,) = load_compared(judged, paths)
    assert compared.checkpoints == (judged,)


def test_networks_that_may_have_trained_on_the_validation_digits_are_refused(write):
    judged = checkpoints.load(write("run", "baseline", 0))
    with pytest.raises(ConfigurationError, match="trained on other digits"):
        load_compared(judged, [write("other", "baseline", 1, fingerprint="g")])


def test_a_path_without_a_checkpoint_or_run_is_refused(write, tmp_path):
    judged = checkpoints.load(write("run", "baseline", 0))
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_compared(judged, [str(tmp_path / "nowhere")])


def test_a_photo_without_a_digit_has_no_answer_unless_it_is_resized():
    prepared = np.zeros((2, 28, 28), np.uint8)
    photos = SeenPhotos(
        names=["a.png", "b.png"],
        thumbnails=[np.zeros((9, 9, 3), np.uint8)] * 2,
        labels=np.array([4, 4]),
        resized=np.ones((2, 28, 28, 3), np.uint8),
        prepared=(prepared, np.array([4, -1])),
        looks=[Look(images=prepared[:1], box=(0, 0, 1, 1), found=None, as_it_came=True), None],
    )

    class Fours:
        def probabilities(self, images):
            return np.eye(10, dtype=np.float32)[np.full(len(images), 4)]

        def answers(self, images):
            return Answers(probabilities=self.probabilities(images), familiarity=np.zeros(len(images), np.float32))

    images, predictions = photos.predictions(Fours(), resize=False)
    assert images.max() == 0 and predictions.answers.tolist() == [4, -1]
    assert [reading.answer for reading in readings_of(photos, images, predictions)] == [4, None]
    images, predictions = photos.predictions(Fours(), resize=True)
    assert images.min() == 1 and predictions.answers.tolist() == [4, 4]


def test_what_training_digits_alone_depend_on_does_not_keep_networks_apart(write):
    """Earlier versions noted no weights; weights and paths decide who trains, not who validates."""
    judged, other = (checkpoints.load(write("run", "baseline", seed)) for seed in (0, 1))
    del judged.record["data"]["weights"]
    other.record["data"] |= {"weights": [1.0, 3.0], "path": "elsewhere"}
    for record in (judged.record, other.record):
        del record["metrics"]  # which scores a comparison does not need
    assert [len(one.checkpoints) for one in load_compared(judged, [judged.path])] == [1]
    assert validated_on(judged.record["data"]) == validated_on(other.record["data"])
    shipped = checkpoints.load(str(SHIPPED))
    assert [len(one.checkpoints) for one in load_compared(shipped, [str(SHIPPED)])] == [1]


def test_a_report_counts_the_photos_that_there_are(write):
    judged = checkpoints.load(write("run", "baseline", 0))
    nothing = Comparison(networks=(), validation={}, corruptions={}, factors={}, photos=None)
    facts = study.facts_of(judged, nothing, photos_per_level=60, num_originals=10)
    assert "10 simulated photos a level, 10 under everyday conditions, and 10 corrupted digits" in " ".join(facts)


def test_photos_are_named_by_where_they_lie_in_their_folder_or_else_by_their_whole_path():
    assert name_in(Path("/photos"), Path("/photos/mine/a.png")) == "mine/a.png"
    assert name_in(Path("/photos"), Path("/elsewhere/a.png")) == "/elsewhere/a.png"
