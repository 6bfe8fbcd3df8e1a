"""Voxels that only one of two contours holds, and when their number may be compared between patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rt4d.errors import GeometryError, InputError
from rt4d.geometry import Geometry
from rt4d.outcomes.discordance import discordance, one_voxel_volume_mm3
from rt4d.outcomes.voxel_units import in_units
from rt4d.volumes import Mask

GRID = Geometry((6, 5, 4), (1.0, 2.0, 3.0), frame_of_reference="1.2.3")


def mask(*columns: int, grid: Geometry = GRID) -> Mask:
    """All voxels of these columns (x), 20 each."""
    inside = np.zeros(grid.shape, dtype=bool)
    inside[:, :, list(columns)] = True
    return Mask(inside, grid)


def test_false_positives_and_negatives_in_voxels_cm3_and_fractions() -> None:
    found = discordance(mask(1, 2, 3), mask(2, 3, 4, 5))
    assert (found.false_positive_voxels, found.false_negative_voxels, found.voxel_volume_mm3) == (20, 40, 6.0)
    assert (found.false_positive_cm3, found.false_negative_cm3) == (pytest.approx(0.12), pytest.approx(0.24))
    assert (found.false_positive_fraction, found.false_negative_fraction) == (pytest.approx(1 / 3), pytest.approx(0.5))


def test_uneven_slices_count_with_their_own_thickness() -> None:
    uneven = Geometry((6, 5, 4), (1.0, 2.0, 3.0), slice_offsets_mm=(0, 3, 6, 12))
    found = discordance(mask(1, grid=uneven), mask(grid=uneven))
    assert found.false_positive_cm3 == pytest.approx(5 * 2 * (3 + 3 + 4.5 + 6) / 1000)


def test_of_an_empty_contour_there_is_no_fraction() -> None:
    missed, nothing = discordance(mask(), mask(1)), discordance(mask(1), mask())
    assert (missed.false_positive_fraction, missed.false_negative_fraction) == (None, 1.0)
    assert (nothing.false_positive_fraction, nothing.false_negative_fraction) == (1.0, None)


def test_different_grids_are_refused() -> None:
    other = Geometry((6, 5, 4), (1.0, 2.0, 2.5), frame_of_reference="1.2.3")
    with pytest.raises(GeometryError, match="physician's grid"):
        discordance(mask(1), mask(1, grid=other))


def table(*sizes: float, **more: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"false_positive_voxels": [100.0, 200.0, 300.0], "voxel_volume_mm3": list(sizes), **more})


def test_voxels_of_one_size_are_counted_as_they_are() -> None:
    found = in_units(table(8, 8, 8), ["false_positive_voxels"])
    assert (found.asked, found.refused) == ({"false_positive_voxels": "false_positive_voxels"}, {})
    assert (found.units, found.in_cm3) == ({"false_positive_voxels": "per voxel of 8 mm³"}, {"false_positive_voxels": 125})


def test_rounding_is_no_other_size() -> None:
    assert one_voxel_volume_mm3(np.array([0.48075, 0.48076])) is not None
    assert one_voxel_volume_mm3(np.array([0.48, 0.49])) is None


def test_voxels_of_mixed_sizes_are_refused_per_voxel_and_given_in_cm3() -> None:
    found = in_units(table(8, 8, 3), ["false_positive_voxels", "age"])
    assert found.asked == {"false_positive_voxels": "false_positive_cm3", "age": "age"}
    assert found.table["false_positive_cm3"].tolist() == pytest.approx([0.8, 1.6, 0.9])
    assert "3 to 8 mm³" in found.refused["false_positive_voxels"]


def test_voxels_of_mixed_sizes_may_be_given_per_voxel_of_one_stated_size() -> None:
    found = in_units(table(8, 8, 3), ["false_positive_voxels"], per_voxel_of_mm3=4)
    assert found.table["false_positive_voxels"].tolist() == pytest.approx([200, 400, 225])
    assert (found.units["false_positive_voxels"], found.refused) == ("per voxel of 4 mm³", {})


def test_a_number_of_voxels_without_their_size_is_refused() -> None:
    with pytest.raises(InputError, match="nothing without their size"):
        in_units(table(8, 8, 8).drop(columns="voxel_volume_mm3"), ["false_positive_voxels"])
    with pytest.raises(InputError, match="No patient's voxel size"):
        in_units(table(np.nan, np.nan, np.nan), ["false_positive_voxels"])
    with pytest.raises(InputError, match="positive"):
        in_units(table(8, 8, 0), ["false_positive_voxels"])


def test_a_count_beside_its_own_volume_is_refused_where_it_becomes_that() -> None:
    with pytest.raises(InputError, match="asked for twice"):
        in_units(table(8, 8, 3, false_positive_cm3=[0.8, 1.6, 0.9]), ["false_positive_voxels", "false_positive_cm3"])


def test_the_table_given_is_left_as_it_is() -> None:
    given = table(8, 8, 3)
    in_units(given, ["false_positive_voxels"], per_voxel_of_mm3=4)
    assert given.equals(table(8, 8, 3))
