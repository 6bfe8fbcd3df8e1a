"""A CT that is made to breathe, here the phantom's own reference phase: reference, amplitude, truth, inverse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from rt4d.agreement import dice
from rt4d.errors import InputError
from rt4d.geometry import Geometry
from rt4d.phantom import Phantom, Tumour, breathe, make_4dct
from rt4d.phantom.real_ct import DrawnRegion
from rt4d.resampling import signed_distance_mm
from rt4d.volumes import Mask

TUMOUR = Tumour((-78.0, 18.0, -22.0), 32.0)


@pytest.fixture(scope="module")
def still() -> Phantom:
    return make_4dct(size=(64, 48, 44), spacing_mm=(6.0, 6.0, 6.0), phases=("40", "50"), tumours=[TUMOUR], amplitude_mm=(0, 0, 1), noise_hu=5)


@pytest.fixture(scope="module")
def case(still: Phantom) -> Phantom:
    rois = {"GTV-1": still.reference_gtv}
    return breathe(still.ct.reference, rois, amplitude_mm=(1.0, 4.0, 16.0), phases=("00", "20", "50", "80"), noise_hu=0, style=1)


def test_the_reference_phase_is_the_ct_itself(still, case):
    assert np.array_equal(case.ct["50"].volume.hu, still.ct.reference.volume.hu)
    assert np.array_equal(case.gtv("50").inside, still.reference_gtv.inside)


def test_noise_comes_on_top_of_the_reference(still):
    noisy = breathe(still.ct.reference, {"GTV": still.reference_gtv}, phases=("00", "50"), noise_hu=12)
    tissue = still.ct.reference.volume.hu > -900
    added = noisy.ct["50"].volume.hu[tissue].astype(float) - still.ct.reference.volume.hu[tissue]
    assert added.std() == pytest.approx(12, rel=0.05)


def test_the_rois_centroid_travels_exactly_the_amplitude_asked_for(case):
    places = np.array(list(case.trajectory_mm().values()))
    assert np.ptp(places, axis=0) == pytest.approx([1.0, 4.0, 16.0], abs=1e-6)
    assert places[0, 2] < places[2, 2]


def test_image_and_truth_move_together(case):
    for label in ("00", "20"):
        inside = case.gtv(label)
        assert case.ct[label].volume.hu[inside.inside].mean() > -200
        assert np.abs(np.subtract(inside.centroid_mm, case.trajectory_mm()[label])).max() < 2.0


def test_points_go_there_and_back_and_nothing_folds(case):
    points = np.random.default_rng(3).uniform([-150, -100, -110], [150, 100, 110], size=(500, 3))
    for label in ("00", "80"):
        there = case.reference_to_phase(label, points)
        assert np.abs(case.phase_to_reference(label, there) - points).max() < 1e-4
    assert case.parameters["smallest_jacobian"] > 0.3


def test_the_images_motion_is_that_of_the_points(still, case):
    """The weights on the grid, from which images are made, are those at points, from which the truth is made."""
    geometry = still.ct.geometry
    on_grid = np.moveaxis(case.motion.on_grid(geometry), 0, -1)
    assert np.abs(on_grid - case.motion.shares(geometry.centres())).max() < 1e-4


def test_another_style_moves_the_surroundings_otherwise_and_the_tumour_as_asked(still, case):
    other = breathe(still.ct.reference, {"GTV-1": still.reference_gtv}, amplitude_mm=(1.0, 4.0, 16.0), phases=("00", "50"), noise_hu=0, style=2)
    left_lung = np.array([[80.0, 10.0, -20.0]])
    assert np.abs(other.reference_to_phase("00", left_lung) - case.reference_to_phase("00", left_lung)).max() > 0.3
    assert np.ptp(np.array(list(other.trajectory_mm().values())), axis=0) == pytest.approx([1.0, 4.0, 16.0], abs=1e-6)


def test_a_turned_grid_breathes_the_same_way(still, case):
    """Feet first: the same CT with its x and z axes turned over moves the same way in the patient."""
    turned = make_4dct(
        size=(64, 48, 44), spacing_mm=(6.0, 6.0, 6.0), direction="FFS", phases=("40", "50"), tumours=[TUMOUR], amplitude_mm=(0, 0, 1), noise_hu=5
    )
    moved = breathe(turned.ct.reference, {"GTV": turned.reference_gtv}, amplitude_mm=(1.0, 4.0, 16.0), phases=("00", "50"), style=1)
    assert moved.gtv("00").centroid_mm[2] < moved.gtv("50").centroid_mm[2] - 14


def test_an_empty_roi_is_refused_by_name(still):
    empty = Mask(np.zeros(still.ct.geometry.shape, dtype=bool), still.ct.geometry)
    with pytest.raises(InputError, match=r"empty.*GTV-2|GTV-2"):
        breathe(still.ct.reference, {"GTV-2": empty})


def test_a_motion_that_would_fold_is_refused(still):
    with pytest.raises(InputError, match="fold"):
        breathe(still.ct.reference, {"GTV": still.reference_gtv}, amplitude_mm=(0.0, 90.0, 90.0), phases=("00", "50"))


SHAPES = {
    "a sphere of 14 mm": lambda x, y, z: np.sqrt(x**2 + y**2 + z**2) - 7,
    "a sphere of 40 mm": lambda x, y, z: np.sqrt(x**2 + y**2 + z**2) - 20,
    "a lentil": lambda x, y, z: np.sqrt(x**2 + y**2 + (2.5 * z) ** 2) - 16,
    "two nodes": lambda x, y, z: np.minimum(np.sqrt((x - 18) ** 2 + y**2 + z**2) - 5, np.sqrt((x + 18) ** 2 + y**2 + z**2) - 10),
}


SLICES = {"1 mm": (70, 0.96), "3 mm": (24, 0.93)}


@pytest.mark.parametrize("slices", SLICES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_drawn_region_moves_as_the_shape_that_was_drawn(shape, slices):
    """Moved by parts of a slice: what comes out is the formula, nearer than by a signed distance between voxel centres."""
    number, least = SLICES[slices]
    thick = float(slices[0])
    grid = Geometry((70, 50, number), (1.0, 1.0, thick), (-34.5, -24.5, -34.0))
    centres = grid.centres()
    mask = Mask(shape(*np.moveaxis(centres, -1, 0)) < 0, grid)
    region, plain = DrawnRegion.of("GTV", mask), signed_distance_mm(mask)
    rows = []
    for z in np.linspace(0.1, 1.0, 7) * thick:
        back = centres - (z / 5, -z / 3, z)
        moved, truth = (Mask(outside(*np.moveaxis(back, -1, 0)) < 0, grid) for outside in (region.distance_mm, shape))
        between = ndimage.map_coordinates(plain, np.moveaxis(grid.to_index(back), -1, 0)[::-1], order=1, mode="nearest")
        rows.append((dice(moved, truth), dice(Mask(between < 0, grid), truth), moved.volume_cm3))
        assert np.abs(np.subtract(moved.centroid_mm, truth.centroid_mm)).max() < 0.15 * (1 + thick)
    ours, signed_distances, volume_cm3 = np.mean(rows, axis=0)
    assert ours > max(least, signed_distances)
    assert volume_cm3 == pytest.approx(mask.volume_cm3, rel=0.02)
