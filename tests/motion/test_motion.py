"""Motion with known fields: anatomy and points are carried the right way, in every pose, and nothing is made up."""

from dataclasses import replace

import numpy as np
import pytest

import rt4d
from rt4d.errors import ContourError, GeometryError, InputError, NotFoundError, RegistrationError
from rt4d.geometry import Geometry
from rt4d.motion import DisplacementField, Motion, PhaseMasks, read_recipe
from rt4d.motion.quality import checks
from rt4d.volumes import Mask
from tests.conftest import POSES
from tests.motion.make import Scene, grid

LABELS = ("00", "20", "50", "80")


def scene_on(geometry, **other):
    return Scene(tuple(geometry.to_patient((np.array(geometry.size) - 1) / 2)), **other)


def known_motion(scene, geometry, *, crop=3, failed=()):
    """The motion of a scene without any registration: its own formula at every voxel of a crop."""
    region = geometry.crop((crop,) * 3, tuple(n - 2 * crop for n in geometry.size))
    x = region.centres()
    fields = {
        label: DisplacementField((scene.reference_to_phase(label, x) - x).astype(np.float32), region)
        for label in LABELS
        if label != "50" and label not in failed
    }
    return Motion("50", LABELS, fields, dict.fromkeys(failed, "diverged"), geometry, region, read_recipe("lung_focus"))


def dice(a, b):
    return 2 * np.count_nonzero(a.inside & b.inside) / (np.count_nonzero(a.inside) + np.count_nonzero(b.inside))


@pytest.mark.parametrize("pose", POSES)
def test_anatomy_is_carried_to_where_it_lies_in_each_phase(pose):
    g = grid(direction=POSES[pose])
    scene = scene_on(g)
    carried = known_motion(scene, g).carry(scene.tumour("50", g))
    assert tuple(carried) == LABELS
    for label, mask in carried.items():
        truth = scene.tumour(label, g)
        assert dice(mask, truth) > 0.95  # a nearest-neighbour truth of 5 cm³ in voxels of 2×2×3 mm
        np.testing.assert_allclose(mask.centroid_mm, truth.centroid_mm, atol=0.4)  # the flat faces of a mask move in steps


def test_a_tumour_that_moves_to_the_feet_is_said_to_move_to_the_feet():
    g = grid()
    scene = scene_on(g, amplitude_mm=(0.0, 0.0, -9.0))
    motion = known_motion(scene, g)
    gtv = scene.tumour("50", g)
    assert motion.carry(gtv)["00"].centroid_mm[2] < gtv.centroid_mm[2] - 8
    assert motion.trajectory(gtv)["00"][2] < gtv.centroid_mm[2] - 8
    assert motion.reference_to_phase("00", scene.centre_mm)[2] < scene.centre_mm[2] - 8
    assert motion.phase_to_reference("00", scene.centre_mm)[2] > scene.centre_mm[2] + 5


def test_each_piece_of_a_target_keeps_its_own_volume():
    """A node of 8 mm beside a tumour of 30 mm on 3 mm slices: level for both together, the node would lose an eighth to the tumour."""
    g = grid(size=(90, 50, 40))
    scene = scene_on(g, amplitude_mm=(0.0, 0.0, -7.0))
    centre, x = np.array(scene.centre_mm), g.centres()
    node, tumour = (Mask(((x - centre - (dx, 0, 0)) ** 2).sum(-1) <= r**2, g) for dx, r in ((-35, 5), (15, 15)))
    motion = known_motion(scene, g)
    both, alone = motion.carry(node | tumour), motion.carry(node)
    for label in ("00", "20", "80"):
        assert np.array_equal((both[label] - motion.carry(tumour)[label]).inside, alone[label].inside)
        exact = motion.trajectory(node)[label]
        np.testing.assert_allclose(alone[label].centroid_mm, exact, atol=0.6)


def shifted(geometry, shift_mm):
    """Two phases, of which the other is moved as a whole."""
    field = DisplacementField(np.full((*geometry.shape, 3), shift_mm, np.float32), geometry)
    return Motion("50", ("00", "50"), {"00": field}, {}, geometry, geometry, read_recipe("lung_focus"))


@pytest.mark.parametrize("thick_mm", [3.0, 5.0])
@pytest.mark.parametrize("diameter_mm", [5.0, 7.0, 9.0])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.3, 0.4, 0.33), (0.7, 0.0, 0.5), (1.0, -3.0, -2.1)])
def test_a_small_node_keeps_its_volume_between_thick_slices(thick_mm, diameter_mm, shift):
    """Some voxels wide: its distances, rounded, are nowhere below zero, and it shrank to a third or vanished."""
    g = Geometry((44, 44, 24), (1.2, 1.2, thick_mm))
    node = Mask(np.linalg.norm(g.centres() - g.to_patient([21.4, 21.8, 11.3]), axis=-1) < diameter_mm / 2, g)
    shift_mm = np.array(shift) * (1, 1, thick_mm)
    carried = shifted(g, shift_mm).carry(node)["00"]
    assert carried.volume_cm3 == pytest.approx(node.volume_cm3, abs=1.01 * g.voxel_volume_mm3 / 1000)
    assert np.abs(np.subtract(carried.centroid_mm, node.centroid_mm) - shift_mm).max() <= 0.5 * thick_mm


def test_a_piece_that_vanishes_fails_the_phase():
    g = grid(size=(90, 50, 40))
    x = g.centres()
    node, tumour = (Mask(((x - g.to_patient((i, 25, 20))) ** 2).sum(-1) <= r**2, g) for i, r in ((20, 4), (60, 12)))
    u = np.zeros((*g.shape, 3), np.float32)
    near = np.linalg.norm(x - g.to_patient((20, 25, 20)), axis=-1) < 25
    u[near] = (g.to_patient((20.5, 25.5, 20.5)) - x[near]) * 0.995
    motion = replace(shifted(g, (0, 0, 0)), fields={"00": DisplacementField(u, g)})
    masks = motion.carry(node | tumour)
    assert tuple(masks) == ("50",)
    assert "a piece of the target of" in masks.failed["00"]


def test_phases_that_were_skipped_must_be_drawn():
    g = grid()
    scene = scene_on(g)
    whole = known_motion(scene, g)
    gtv = scene.tumour("50", g)
    motion = replace(whole, fields={k: v for k, v in whole.fields.items() if k != "20"}, skipped=frozenset({"20"}))
    with pytest.raises(InputError, match=r"neither registered nor drawn.*phase 20"):
        motion.carry(gtv)
    drawn = scene.tumour("20", g)
    masks = motion.carry(gtv, drawn={"20": drawn})
    assert masks["20"] is drawn
    assert masks.drawn == {"20"}
    assert "20" not in motion.trajectory(gtv)
    with pytest.raises(NotFoundError, match="was not registered"):
        motion.reference_to_phase("20", gtv.points_mm)


@pytest.mark.parametrize("pose", ["HFS", "FFP", "oblique"])
def test_points_go_there_and_back_as_the_formula_says(pose):
    g = grid(direction=POSES[pose])
    scene = scene_on(g)
    motion = known_motion(scene, g)
    points = np.array(scene.centre_mm) + np.random.default_rng(5).uniform(-15, 15, size=(3, 40, 3))
    there = motion.reference_to_phase("20", points)
    np.testing.assert_allclose(there, scene.reference_to_phase("20", points), atol=0.05)
    np.testing.assert_allclose(motion.phase_to_reference("20", there), points, atol=0.05)
    np.testing.assert_array_equal(motion.reference_to_phase("50", points), points)


def test_the_reference_is_the_mask_itself_and_does_not_move():
    g = grid()
    motion = known_motion(scene_on(g), g)
    odd = Mask(np.random.default_rng(6).random(g.shape) > 0.5, g).inside.copy()
    odd[:5] = odd[-5:] = odd[:, :5] = odd[:, -5:] = odd[:, :, :5] = odd[:, :, -5:] = False
    assert np.array_equal(motion.carry(Mask(odd, g))["50"].inside, odd)
    assert (motion.jacobian("50") == 1).all()


def test_no_motion_leaves_a_mask_as_it_is():
    g = grid()
    scene = scene_on(g, amplitude_mm=(0.0, 0.0, 0.0))
    gtv = scene.tumour("50", g)
    assert all(np.array_equal(mask.inside, gtv.inside) for mask in known_motion(scene, g).carry(gtv).values())


def test_a_pure_shift_by_whole_voxels_shifts_the_mask():
    g = grid()
    scene = scene_on(g)
    motion = known_motion(scene, g)
    shift = DisplacementField(np.full((*motion.region.shape, 3), (2.0, -4.0, 6.0), np.float32), motion.region)
    gtv = scene.tumour("50", g)
    moved = replace(motion, fields={**motion.fields, "00": shift}).carry(gtv)["00"]
    assert np.array_equal(moved.inside, np.roll(gtv.inside, (2, -2, 1), axis=(0, 1, 2)))


def test_the_trajectory_is_finer_than_a_voxel():
    g = grid()
    scene = scene_on(g)
    fine = grid((120, 120, 120), (0.5, 0.5, 0.5), centre_mm=scene.centre_mm)
    for label, centroid in known_motion(scene, g).trajectory(scene.tumour("50", g)).items():
        np.testing.assert_allclose(centroid, scene.tumour(label, fine).centroid_mm, atol=0.15)


def test_the_itv_tells_centroid_and_amplitude_finer_than_a_voxel_and_of_drawn_phases_as_drawn():
    g = grid()
    scene = scene_on(g, amplitude_mm=(0.0, 0.0, -4.3))
    motion, gtv = known_motion(scene, g), scene.tumour("50", g)
    target = rt4d.itv(motion.carry(gtv))
    assert target.centroid_mm == motion.trajectory(gtv)
    fine = grid((120, 120, 120), (0.5, 0.5, 0.5), centre_mm=scene.centre_mm)
    exact = np.ptp([scene.tumour(label, fine).centroid_mm[2] for label in LABELS])
    assert target.amplitude_mm["z"] == pytest.approx(exact, abs=0.05)
    drawn = Mask(np.roll(gtv.inside, 1, axis=0), g)
    assert rt4d.itv(motion.carry(gtv, drawn={"20": drawn})).centroid_mm["20"] == drawn.centroid_mm


def test_phases_drawn_by_a_physician_are_taken_as_drawn():
    g = grid()
    scene = scene_on(g)
    drawn = scene.tumour("80", g)
    masks = known_motion(scene, g, failed=("20", "80")).carry(scene.tumour("50", g), drawn={"80": drawn})
    assert np.array_equal(masks["80"].inside, drawn.inside)
    assert masks.drawn == {"80"}
    assert dict(masks.failed) == {"20": "diverged"}
    assert tuple(masks) == ("00", "50", "80")


def test_a_phase_that_failed_is_absent_and_never_the_identity():
    g = grid()
    scene = scene_on(g)
    motion = known_motion(scene, g, failed=("20",))
    masks = motion.carry(scene.tumour("50", g))
    assert "20" not in masks
    assert "FAILED: 20" in repr(masks)
    assert "FAILED: 20" in repr(motion)
    with pytest.raises(NotFoundError, match="registration failed: diverged"):
        masks["20"]
    with pytest.raises(RegistrationError, match=r"phase 20.*diverged"):
        motion.reference_to_phase("20", scene.centre_mm)
    assert "20" not in motion.trajectory(scene.tumour("50", g))


def test_a_phase_in_which_the_target_vanishes_has_failed_and_the_others_stay():
    """Found by benchmarks/sabotage.py: another patient's phase squeezed a tumour between voxels, and the whole job was refused."""
    g = grid()
    scene = scene_on(g)
    motion, gtv = known_motion(scene, g), scene.tumour("50", g)
    between_voxels = g.to_patient(np.floor(g.to_index(gtv.centroid_mm)) + 0.5)
    squeezed = DisplacementField((0.995 * (between_voxels - motion.region.centres())).astype(np.float32), motion.region)
    motion = replace(motion, fields={**motion.fields, "20": squeezed})
    masks = motion.carry(gtv)
    assert tuple(masks) == ("00", "50", "80")
    assert "vanishes" in masks.failed["20"]
    assert "20" in rt4d.itv(masks).failed
    found = [check for check in checks(motion, scene.four_d_ct(g), gtv, masks=masks) if check.phase == "20"]
    assert ("registration", "fail") in {(check.name, check.verdict) for check in found}
    assert "vanishes" in next(check.sentence for check in found if check.name == "registration")


def test_what_reaches_beyond_the_region_is_refused_and_not_cut():
    g = grid()
    scene = scene_on(g)
    motion = known_motion(scene, g, crop=10)
    wide = Mask(np.linalg.norm(g.centres() - scene.centre_mm, axis=-1) < 30, g)
    with pytest.raises(GeometryError, match=r"beyond the region.*Track again"):
        motion.carry(wide)
    with pytest.raises(GeometryError, match="not known"):
        motion.reference_to_phase("00", g.origin_mm)
    with pytest.raises(GeometryError, match="from outside"):
        motion.phase_to_reference("00", motion.region.to_patient((10, 10, 0)))


def test_masks_that_cannot_be_carried_are_refused():
    g = grid()
    motion = known_motion(scene_on(g), g)
    with pytest.raises(ContourError, match="empty"):
        motion.carry(Mask(np.zeros(g.shape, bool), g))
    with pytest.raises(GeometryError, match="another grid"):
        motion.carry(Mask(np.ones(motion.region.shape, bool), motion.region))
    gtv = scene_on(g).tumour("50", g)
    with pytest.raises(NotFoundError, match="no phase"):
        motion.carry(gtv, drawn={"77": gtv})


def test_every_phase_has_a_field_or_a_reason():
    g = grid()
    motion = known_motion(scene_on(g), g)
    with pytest.raises(NotFoundError, match="a field or a reason"):
        replace(motion, fields={})


def test_phase_masks_print_their_volumes():
    g = grid()
    gtv = scene_on(g).tumour("50", g)
    assert repr(PhaseMasks({"50": gtv}, reference_label="50")) == f"PhaseMasks(50 {gtv.volume_cm3:.2f} cm³)"
