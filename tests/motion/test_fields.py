"""Displacement fields against SimpleITK and closed forms, on grids in every pose: an index taken for a place would show here."""

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.errors import GeometryError, InputError
from rt4d.motion import DisplacementField
from tests.conftest import POSES
from tests.motion.make import Scene, grid

TURN = np.array([[0.05, -0.1, 0.02], [0.08, -0.04, 0.1], [-0.06, 0.03, 0.12]])
"""u(x) = TURN @ (x - c): every Jacobian is det(1 + TURN)."""


def affine_field(geometry):
    centre = geometry.to_patient((np.array(geometry.size) - 1) / 2)
    return DisplacementField(((geometry.centres() - centre) @ TURN.T).astype(np.float32), geometry), centre


def inner_points(geometry, n=200):
    rng = np.random.default_rng(4)
    return geometry.to_patient(rng.uniform(2, np.array(geometry.size) - 3, size=(n, 3)))


def as_sitk(field):
    image = sitk.GetImageFromArray(field.vectors_mm.astype(np.float64), isVector=True)
    image.SetSpacing(field.geometry.spacing_mm)
    image.SetOrigin(field.geometry.origin_mm)
    image.SetDirection(field.geometry.direction)
    return image


@pytest.mark.parametrize("pose", POSES)
def test_points_go_where_simpleitk_takes_them(pose):
    g = grid((12, 10, 9), (1.5, 2.0, 3.0), POSES[pose])
    vectors = np.random.default_rng(1).normal(scale=4, size=(*g.shape, 3)).astype(np.float32)
    field = DisplacementField(vectors, g)
    transform = sitk.DisplacementFieldTransform(as_sitk(field))
    points = inner_points(g)
    expected = [transform.TransformPoint(tuple(point)) for point in points]
    np.testing.assert_allclose(field.map(points), expected, atol=1e-4)


@pytest.mark.parametrize("pose", POSES)
def test_the_jacobian_of_an_affine_motion_is_its_determinant(pose):
    field, _ = affine_field(grid((9, 8, 7), (1.0, 2.0, 3.0), POSES[pose]))
    np.testing.assert_allclose(field.jacobian(), np.linalg.det(np.eye(3) + TURN), atol=1e-4)


def test_the_jacobian_agrees_with_simpleitk_inside():
    g = grid((14, 12, 10), (1.0, 1.5, 3.0))
    smooth = np.sin(g.centres() / 9).astype(np.float32) * 3
    expected = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(as_sitk(DisplacementField(smooth, g))))
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(DisplacementField(smooth, g).jacobian()[inner], expected[inner], atol=1e-4)


@pytest.mark.parametrize("pose", ["HFS", "oblique"])
def test_the_inverse_of_an_affine_motion_is_the_inverse_matrix(pose):
    field, centre = affine_field(grid((20, 18, 16), (2.0, 2.0, 3.0), POSES[pose]))
    points = field.geometry.to_patient(np.random.default_rng(2).uniform(6, 9, size=(100, 3)))
    back, miss_mm, within = field.inverse(points)
    np.testing.assert_allclose(back, (points - centre) @ np.linalg.inv(np.eye(3) + TURN).T + centre, atol=0.02)
    assert within.all()
    assert miss_mm.max() < 0.01


def test_there_and_back_is_where_one_began_also_where_motion_is_steep():
    g = grid((40, 40, 30))
    scene = Scene(tuple(g.to_patient((np.array(g.size) - 1) / 2)), amplitude_mm=(0.0, 0.0, 25.0), width_mm=24.0)
    x = g.centres()
    field = DisplacementField((scene.reference_to_phase("00", x) - x).astype(np.float32), g)
    points = g.to_patient(np.random.default_rng(3).uniform(10, 19, size=(500, 3)))
    back, miss_mm, within = field.inverse(field.map(points))
    assert within.all()
    assert miss_mm.max() < 0.01
    np.testing.assert_allclose(back, points, atol=0.05)


def test_the_inverse_tells_points_that_come_from_beyond_the_field():
    g = grid((10, 10, 10))
    field = DisplacementField(np.full((*g.shape, 3), (0, 0, 9.0), np.float32), g)
    _, _, within = field.inverse([g.to_patient((5, 5, 1)), g.to_patient((5, 5, 8))])
    assert within.tolist() == [False, True]


def test_a_fold_shows_in_jacobian_and_inverse():
    g = grid((30, 6, 6), (1.0, 1.0, 1.0))
    x = g.centres()[..., 0] - g.origin_mm[0]
    vectors = np.zeros((*g.shape, 3), np.float32)
    vectors[..., 0] = np.where(x < 15, 8.0, -8.0)
    field = DisplacementField(vectors, g)
    assert (field.jacobian() <= 0).any()
    points = g.to_patient(np.stack([np.linspace(8, 22, 40), np.full(40, 3.0), np.full(40, 3.0)], axis=-1))
    assert np.linalg.norm(field.inverse(field.map(points))[0] - points, axis=-1).max() > 1


def test_points_outside_are_refused_and_not_left_where_they_are():
    field, _ = affine_field(grid((6, 6, 6)))
    with pytest.raises(GeometryError, match=r"where it is not known.*and 1 more"):
        field.at([field.geometry.to_patient((-1, 2, 2)), field.geometry.to_patient((2, 2, 6)), field.geometry.to_patient((2, 2, 2))])


def test_what_is_no_field_is_refused():
    g = grid((6, 6, 6))
    with pytest.raises(InputError, match="finite"):
        DisplacementField(np.full((*g.shape, 3), np.nan, np.float32), g)
    with pytest.raises(GeometryError, match="one vector per voxel"):
        DisplacementField(np.zeros((6, 6, 5, 3), np.float32), g)


def test_a_crop_knows_the_same_displacements():
    field, _ = affine_field(grid((9, 8, 7)))
    part = field.crop((2, 3, 1), (4, 1, 5))
    points = part.geometry.centres()
    np.testing.assert_allclose(part.at(points), field.at(points), atol=1e-5)
