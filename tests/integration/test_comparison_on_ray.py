"""The evidence of the evaluation job on a real cluster: photos in parallel, every network reads everything."""

import cv2
import numpy as np
import pytest

from digits.commands import study
from digits.commands.study import Compared
from digits.config import BASELINE
from digits.evaluation.corruptions import FAMILIES
from digits.evaluation.factors import FACTORS, PATHS
from digits.models.checkpoints import Checkpoint
from digits.storage import Storage

pytestmark = pytest.mark.usefixtures("cluster")


def checkpoint(seed: int) -> Checkpoint:
    """A network with random weights."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in BASELINE.weight_shapes().items()}
    record = {"architecture_name": "baseline", "parameters": 8922, "training": {"distort": False}}
    return Checkpoint(
        folder=Storage.open(f"/memory/{seed}"), architecture=BASELINE, weights=weights, record={**record, "name": "b"}
    )


def test_every_level_of_every_factor_is_read_by_every_training(monkeypatch, capsys):
    monkeypatch.setattr(study, "EVERYDAY_PHOTOS", 3)
    images = np.zeros((6, 28, 28), np.uint8)
    for index, image in enumerate(images):
        cv2.ellipse(image, (14, 14), (4 + index // 2, 9), 0, 0, 360, 255, 2, cv2.LINE_AA)
    digits = images, np.zeros(6, np.int64)
    compared = [Compared(name="baseline", checkpoints=(checkpoint(0), checkpoint(1)))]
    comparison = study.gather(compared, digits, digits, None, photos_per_level=1)
    assert set(comparison.factors) == set(FACTORS)
    for name, result in comparison.factors.items():
        for path in PATHS:
            values = result.accuracy["baseline", path]
            assert values.shape == (2, len(FACTORS[name].levels)) and not np.isnan(values).any()
    assert comparison.corruptions["baseline"].shape == (2, len(FAMILIES))
    assert comparison.photos is None
    study.show(comparison)
    assert "MNIST-C" in capsys.readouterr().out
    facts = " ".join(study.facts_of(compared[0].checkpoints[0], comparison, 1, 6))
    assert "8,922 parameters" in facts and "6 corrupted digits" in facts and "seed 0" in facts
    figures = study.figures_of(comparison, "baseline")
    assert set(figures) == {"simulated_resized", "simulated_prepared", "corruptions"}
