from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import numpy as np
import pytest

from rt4d.geometry import Geometry
from rt4d.report import viewer
from rt4d.report.viewer import encode, upright, viewer_data
from rt4d.volumes import Volume
from tests.report.make import GRID, made_result


def unpacked(data, name, shape):
    return np.frombuffer(zlib.decompress(base64.b64decode(data.packed[name])), np.uint8).reshape(shape)


def grid_of(told):
    return Geometry(tuple(told["size"]), tuple(told["step_mm"]), tuple(told["first_mm"]))


@pytest.mark.parametrize(("low", "high", "within"), [(-1024, -200, 4), (-200, 248, 2), (248, 1395, 14)])
def test_grey_values_tell_the_hu_as_closely_as_the_page_says(low, high, within):
    hu = np.arange(low, high)
    levels = np.array(viewer_data(made_result().ct, []).told["hu"])
    assert np.abs(levels[encode(hu)] - hu).max() <= within


def test_beyond_the_scale_grey_values_end():
    assert encode(np.array([-3000.0, 4000.0])).tolist() == [0, 255]


def test_a_ct_in_any_pose_is_shown_along_the_patients_axes(posed_geometry):
    """HU that are a linear function of the place come out as that function, whether voxels are turned or interpolated."""
    middle = posed_geometry.centres().reshape(-1, 3).mean(axis=0)
    grid = viewer._around(posed_geometry, middle + np.array([[-1.0, -1.0, -2.0], [1.0, 1.0, 2.0]]), np.zeros(3), viewer._steps_mm(posed_geometry))
    slope = np.array([3.0, 7.0, 11.0])
    shown = upright(posed_geometry, grid)((posed_geometry.centres() @ slope).astype(np.float32))
    assert shown.shape == grid.shape
    assert np.allclose(shown, grid.centres() @ slope, atol=1e-2)


def test_uneven_slices_are_shown_where_they_lie():
    uneven = replace(GRID, size=(60, 56, 5), slice_offsets_mm=(0.0, 3.0, 6.0, 15.0, 18.0))
    grid = Geometry((4, 4, 6), (2.0, 2.0, 3.0), (-10.0, 0.0, -50.0))
    shown = upright(uneven, grid)(uneven.centres()[..., 2].astype(np.float32))
    assert np.allclose(shown, grid.centres()[..., 2], atol=1e-3)


def test_what_is_drawn_are_the_voxels_that_were_counted():
    result = made_result()
    (target,) = result.targets
    data = viewer_data(result.ct, [target.itv])
    (told,) = data.told["targets"]
    grid = grid_of(told["contours"])
    masks = unpacked(data, "contours-0", (len(told["drawn"]), *grid.shape))
    for name, inside in zip(told["drawn"], masks, strict=True):
        assert inside.sum() * np.prod(grid.spacing_mm) / 1000 == pytest.approx(target.itv.volume_cm3[name])
        expected = {**target.itv.phases, "ITV": target.itv.mask, "PTV": target.itv.ptv}[name]
        assert grid.to_patient(np.argwhere(inside)[:, ::-1]).mean(axis=0) == pytest.approx(expected.centroid_mm)


def test_the_images_are_the_phases_own_voxels():
    result = made_result()
    data = viewer_data(result.ct, [result.targets[0].itv])
    grid = grid_of(data.told["targets"][0]["ct"])
    for number, phase in enumerate(result.ct):
        shown = np.array(data.told["hu"])[unpacked(data, f"ct-0-{number}", grid.shape)]
        x, y, z = np.rint(GRID.to_index(grid.origin_mm)).astype(int)
        nx, ny, nz = grid.size
        assert np.abs(shown - phase.volume.hu[z : z + nz, y : y + ny, x : x + nx]).max() <= 14


def test_many_voxels_mean_less_around_the_target_and_then_larger_voxels(monkeypatch):
    result = made_result(targets=2)
    itvs = [target.itv for target in result.targets]
    sizes = {}
    for most in (10_000_000, 700_000, 60_000):
        monkeypatch.setattr(viewer, "VOXELS", most)
        grids = [grid_of(told["ct"]) for told in viewer_data(result.ct, itvs).told["targets"]]
        assert sum(np.prod(grid.size) for grid in grids) * len(result.ct) <= most
        sizes[most] = grids[0]
    assert sizes[10_000_000].spacing_mm == sizes[700_000].spacing_mm == GRID.spacing_mm
    assert np.prod(sizes[700_000].size) < np.prod(sizes[10_000_000].size)
    assert sizes[60_000].spacing_mm[0] > GRID.spacing_mm[0]


def test_a_phase_that_is_not_in_the_union_has_no_contour():
    result = made_result()
    itv = result.targets[0].itv
    without = replace(itv, phases={label: mask for label, mask in itv.phases.items() if label != "25"})
    (told,) = viewer_data(result.ct, [without]).told["targets"]
    assert told["drawn"] == ["00", "50", "75", "ITV", "PTV"]


def test_images_of_floating_point_are_shown_too():
    result = made_result()
    phases = tuple(replace(phase, volume=Volume(phase.volume.hu.astype(np.float32), GRID)) for phase in result.ct)
    assert viewer_data(replace(result.ct, phases=phases), [result.targets[0].itv]).packed == viewer_data(result.ct, [result.targets[0].itv]).packed
