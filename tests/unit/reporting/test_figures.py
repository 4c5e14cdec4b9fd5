"""Pictures in reports: what they show is what their titles say."""

import numpy as np
import pytest

from digits.reporting import figures


@pytest.fixture
def tiles(monkeypatch):
    """Grey value, row and column of each tile that is drawn."""
    shown = []
    monkeypatch.setattr(
        figures,
        "show_tile",
        lambda axes, image, row, column, text, **look: shown.append((int(image[0, 0]), row, column)),
    )
    return shown


def numbered(count):
    return np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)


def test_each_digit_stands_above_its_copy(tiles):
    figures.sample_digits(numbered(6), np.array([4, 4, 0, 0, 4, 4]), inverted_copies=True)
    assert tiles == [(2, 0, 0), (3, 1, 0), (0, 0, 4), (1, 1, 4)]


@pytest.mark.parametrize("labels", [[0, 1, 2], [7], [3, 3, 1]])
def test_without_copies_each_digit_stands_alone(tiles, labels):
    figures.sample_digits(numbered(len(labels)), np.array(labels), inverted_copies=False)
    assert tiles == [(labels.index(label), 0, label) for label in sorted(set(labels))]
