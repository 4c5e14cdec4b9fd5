"""Pictures of a search: names beside points cover neither points nor each other."""

import numpy as np
import pytest
from matplotlib.transforms import Bbox

from digits.reporting.figures import new_figure
from digits.reporting.search_figures import name_points


@pytest.mark.parametrize("seed", range(5))
def test_names_of_close_points_cover_neither_points_nor_each_other(seed):
    rng = np.random.default_rng(seed)
    figure = new_figure(6, 4)
    axes = figure.subplots()
    points = np.concatenate([rng.uniform(0, 100, (12, 2)), rng.normal(50, 2, (5, 2))])
    axes.plot(*points.T, "o", markersize=6)
    axes.set_xlim(-5, 105)
    axes.set_ylim(-5, 105)
    figure.draw_without_rendering()
    name_points(axes, points, {row: f"trial-{row:02d}" for row in range(10, 17)})
    texts = [text.get_window_extent() for text in axes.texts]
    assert len(texts) == 7
    marks = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in axes.transData.transform(points)]
    for row, box in enumerate(texts):
        assert box.count_overlaps(texts[row + 1 :] + marks) == 0
        assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
