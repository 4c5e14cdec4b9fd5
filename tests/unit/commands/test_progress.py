"""What a training shows while networks train one after another, and side by side."""

import pytest

from digits.commands.progress import TrainingProgress
from digits.config import RECIPES, DataConfig
from digits.training.runs import Run
from digits.training.state import EpochResult


@pytest.fixture
def progress(monkeypatch):
    """Of two networks with four and five epochs; what its bar shows is kept in `bars`."""
    run = Run.of({name: RECIPES[name] for name in ("improved", "baseline")}, (0,), DataConfig(), "fingerprint")
    progress = TrainingProgress(run, lambda: None)
    progress.bars = []
    monkeypatch.setattr(progress.line, "show", lambda text, fraction: progress.bars.append((text, fraction)))
    return progress


def epoch_of(network, epoch, epochs):
    figures = dict.fromkeys(EpochResult.__dataclass_fields__, 0.5) | {"epoch": epoch}
    return {"event": "epoch", "network": f"{network}-seed0", "epochs": epochs, "result": EpochResult(**figures)}


def part_of(network, epoch, fraction):
    return {"event": "progress", "network": f"{network}-seed0", "epoch": epoch, "fraction": fraction}


def test_the_bar_is_that_of_an_epoch_where_one_network_trains_at_a_time(progress):
    for event in (part_of("improved", 4, 0.5), epoch_of("improved", 4, 4), part_of("baseline", 1, 0.25)):
        progress(event)
    assert progress.bars == [("improved-seed0 epoch  4", 0.5), ("baseline-seed0 epoch  1", 0.25)]


def test_the_bar_is_that_of_all_epochs_where_several_networks_train(progress, capsys):
    progress(part_of("improved", 1, 0.5))
    progress(part_of("baseline", 1, 0.25))
    progress(epoch_of("baseline", 1, 5))
    progress(part_of("improved", 1, 0.75))
    assert progress.bars[1:] == [("2 networks, 0 of 9 epochs", 0.75 / 9), ("2 networks, 1 of 9 epochs", 1.75 / 9)]
    assert capsys.readouterr().out.startswith("baseline-seed0 epoch  1/5 | ")


def test_a_failure_names_its_network_where_several_train(progress, capsys):
    progress({"event": "failure", "causes": {0: "killed"}})
    progress({"event": "failure", "causes": {1: "killed"}, "network": "baseline-seed0"})
    assert capsys.readouterr().out.splitlines() == [
        "worker 0 failed: killed",
        "starting workers again from the last checkpoint",
        "baseline-seed0: worker 1 failed: killed",
        "baseline-seed0: starting workers again from the last checkpoint",
    ]
