from __future__ import annotations

import numpy as np
import pytest

from rt4d.errors import GeometryError, NotFoundError, PhaseError
from rt4d.geometry import Geometry
from rt4d.phases import FourDCT, Phase, SeriesIdentity, label_of, parse_label
from rt4d.volumes import Volume

GRID = Geometry((4, 5, 6), (1, 2, 3), frame_of_reference="1.2")


def phase(label, grid=GRID):
    identity = SeriesIdentity("1.1", "1.2", "1.3", tuple(f"1.4.{i}" for i in range(grid.size[2])), patient_position="HFS")
    return Phase(Volume(np.zeros(grid.shape, np.int16), grid), identity, label)


@pytest.mark.parametrize(("percent", "way", "label"), [(0, "", "00"), (50, "", "50"), (12.5, "", "12p5"), (30, "In", "30In"), (100, "Ex", "100Ex")])
def test_labels_say_percent_and_way(percent, way, label):
    assert label_of(percent, way) == label
    assert parse_label(label) == (percent, way)


@pytest.mark.parametrize("label", ["", "5", "101", "50%", "50in", "mid"])
def test_what_is_no_label_is_refused(label):
    with pytest.raises(PhaseError):
        phase(label)


def test_phases_on_different_grids_are_no_4dct():
    shifted = Geometry((4, 5, 6), (1, 2, 3), (0, 0, 1.5), frame_of_reference="1.2")
    with pytest.raises(GeometryError, match="Phase 50 lies on another grid than phase 00"):
        FourDCT((phase("00"), phase("50", shifted)), "50")


def test_doubled_single_and_unknown_phases_are_refused():
    with pytest.raises(PhaseError, match="same label: found 50"):
        FourDCT((phase("50"), phase("50")), "50")
    with pytest.raises(PhaseError, match="at least two"):
        FourDCT((phase("50"),), "50")
    with pytest.raises(NotFoundError, match="one of 00, 50, found 40"):
        FourDCT((phase("00"), phase("50")), "40")


def test_a_4dct_prints_its_phases_grid_and_position_and_no_patient():
    ct = FourDCT((phase("00"), phase("50")), "50")
    assert repr(ct) == "FourDCT(2 phases: 00 [50]; 4×5×6, 1×2×3 mm; HFS)"
    assert ct.reference.label == "50"
