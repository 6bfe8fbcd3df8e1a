from __future__ import annotations

import numpy as np
import pytest

from rt4d import figures
from tests.report.make import made_result


@pytest.fixture(scope="module")
def drawn():
    result = made_result()
    return figures.itv_occupancy(result.ct, result.targets[0].itv)


def test_occupancy_is_whole_where_the_gtv_always_is_and_absent_where_it_never_is(drawn):
    """Balls of 7 mm that travel 6 mm: their common part is shown at 100 %, the lung around them not at all."""
    for axes in drawn.axes[:3]:
        share = axes.images[1].get_array()
        assert share.max() == 100
        assert share.mask.mean() > 0.5
        assert set(np.unique(share.compressed()).astype(int)) <= {25, 50, 75, 100}


def test_occupancy_has_its_unit(drawn):
    assert drawn.axes[3].get_ylabel() == "share of the phases, %"


def test_every_picture_of_the_report_is_explained():
    assert set(figures.FIGURES) == {"planes", "extremes", "occupancy", "trajectory"}
