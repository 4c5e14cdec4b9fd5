"""Sweeps vary one factor at a time, and every network reads the same photos by both paths."""

from dataclasses import asdict

import cv2
import numpy as np
import pytest

from digits.errors import ConfigurationError
from digits.evaluation.factors import FACTORS, PATHS, join_parts, level_images, measure_factors
from digits.evaluation.simulated_photos import PhotoConditions
from digits.evaluation.unseen_styles import UNSEEN_STYLES, written


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    """uint8 (4, 28, 28) ones of different heights, and their labels."""
    images = np.zeros((4, 28, 28), np.uint8)
    for index, image in enumerate(images):
        image[4 : 20 + index, 13:16] = 255
    return images, np.ones(4, int)


def always(digit: int):
    """A network that gives the same answer to everything."""
    return lambda images: np.eye(10, dtype=np.float32)[np.full(len(images), digit)]


def test_the_factors_are_those_that_people_ask_about():
    asked = (
        "paper_brightness contrast gradient shadow ruling stroke_width size position rotation "
        "blur noise jpeg_quality polarity style"
    )
    assert set(asked.split()) <= set(FACTORS)
    assert next(iter(FACTORS)) == "everyday"


@pytest.mark.parametrize("name", [name for name in FACTORS if name not in ("everyday", "style")])
def test_a_level_changes_its_own_factor_and_nothing_else(name):
    plain = asdict(PhotoConditions())
    for conditions in FACTORS[name].conditions:
        changed = {field for field, value in asdict(conditions).items() if value != plain[field]}
        assert changed <= {name}
    assert len(FACTORS[name].levels) == len(set(FACTORS[name].levels)) == len(FACTORS[name].conditions)


def test_levels_show_the_same_digits_by_both_paths_and_repeat(digits):
    seen = level_images(FACTORS["blur"], 1, *digits, seed=3)
    again = level_images(FACTORS["blur"], 1, *digits, seed=3)
    assert seen.images["resized"].shape == (4, 28, 28, 3) and seen.images["prepared"].shape == (4, 28, 28)
    for path in PATHS:
        assert seen.images[path].dtype == np.uint8
        assert np.array_equal(seen.images[path], again.images[path])
        assert seen.labels[path].tolist() == [1] * 4
    assert seen.images["resized"].mean() > 128 > seen.images["prepared"].mean()


def test_a_level_that_does_not_exist_is_refused(digits):
    with pytest.raises(ConfigurationError, match="level 9"):
        level_images(FACTORS["polarity"], 9, *digits, seed=0)


def test_a_level_may_be_photographed_in_parts(digits):
    images, labels = digits
    factor = FACTORS["blur"]
    whole = level_images(factor, 2, images, labels, seed=0)
    parts = [level_images(factor, 2, images[part], labels[part], seed=0) for part in (slice(0, 1), slice(1, 4))]
    (joined,) = join_parts(parts)
    for path in PATHS:
        assert np.array_equal(joined.images[path], whole.images[path])
        assert np.array_equal(joined.labels[path], whole.labels[path])


def test_every_training_of_every_network_is_measured_at_every_level_in_any_order(digits):
    factor = FACTORS["polarity"]
    levels = [level_images(factor, level, *digits, seed=0) for level in (1, 0)]
    results = measure_factors(levels, {"right": [always(1), always(1)], "mixed": [always(1), always(7)]})
    accuracy = results["polarity"].accuracy
    assert set(accuracy) == {(name, path) for name in ("right", "mixed") for path in PATHS}
    assert (accuracy["right", "prepared"] == 1).all() and accuracy["right", "prepared"].shape == (2, 2)
    assert accuracy["mixed", "resized"].tolist() == [[1, 1], [0, 0]]
    document = results["polarity"].to_dict()
    mixed = next(row for row in document["accuracy"] if (row["network"], row["path"]) == ("mixed", "resized"))
    assert mixed["mean"] == [0.5, 0.5] and mixed["trainings"] == 2
    assert mixed["lowest"] == [0.0, 0.0] and mixed["highest"] == [1.0, 1.0]
    assert document["levels"] == ["dark on light", "light on dark"]


def test_styles_bring_their_own_labels(digits):
    factor = FACTORS["style"]
    level = factor.levels.index("7 crossed")
    assert level_images(factor, level, *digits, seed=0).labels["resized"].tolist() == [7] * 4


@pytest.mark.parametrize("style", UNSEEN_STYLES)
def test_a_style_is_one_digit_with_its_own_variation(style):
    label = UNSEEN_STYLES[style][0]
    assert style.startswith(str(label))
    first, second = written(style, np.random.default_rng(0)), written(style, np.random.default_rng(1))
    assert not np.array_equal(first.outside, second.outside)
    left, top, width, height = first.box
    assert left > 0 and top > 0 and left + width < 112 and top + height < 112
    assert max(width, height) > 60
    ink = (first.outside < 0).mean()
    assert 0.02 < ink < 0.3


def test_noughts_and_eights_have_their_holes():
    for style, holes in (("8 of two rings", 2), ("4 closed", 1), ("9 curled", 1), ("1 with foot", 0)):
        counts = []
        for seed in range(5):
            ink = (written(style, np.random.default_rng(seed)).outside < 0).astype(np.uint8)
            counts.append(cv2.connectedComponents(1 - ink, connectivity=4)[0] - 2)
        assert np.median(counts) == holes, style
