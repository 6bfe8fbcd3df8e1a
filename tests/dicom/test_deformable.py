"""Deformable Spatial Registrations: applied by the standard's formula with SimpleITK, anatomy moves to where it lies, both ways."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.sequence import Sequence as Items

from rt4d.dicom.deformable import read_grid, write_grid
from rt4d.errors import ContourError, DicomError, GeometryError, InputError, NotFoundError, RegistrationError, Rt4dError
from rt4d.geometry import Geometry
from rt4d.motion import DisplacementField, Motion
from rt4d.motion.registration_objects import inverse_vectors, read_deformable_registration, write_deformable_registration
from rt4d.phases import FourDCT, Phase, SeriesIdentity
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES, needs_program
from tests.dicom.drawn import PATIENT, ct_image
from tests.motion.make import Scene, grid
from tests.motion.test_motion import known_motion, scene_on

TO_FEET = {"amplitude_mm": (1.0, -2.0, -9.0)}


def four_d_ct(scene: Scene, geometry: Geometry, *, series: dict[str, str] | None = None, patient: dict[str, str] | None = None) -> FourDCT:
    """The phases of a scene as series of their own in one study and one frame of reference."""
    phases = []
    for n, label in enumerate(scene.shares):
        uids = tuple(f"1.2.3.{n}.{z + 1}" for z in range(geometry.size[2]))
        identity = SeriesIdentity("1.2", f"1.2.3.{n}", "1.2.840.10008.5.1.4.1.1.2", uids, None, PATIENT if patient is None else patient)
        phases.append(Phase(Volume(np.zeros(geometry.shape, np.int16), geometry), identity, label))
    return FourDCT(tuple(phases), "50")


def by_the_formula(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The transform of C.20.3.1.1 from the raw attributes of the object, owing nothing to rt4d's reader."""
    dataset = pydicom.dcmread(path)
    (moving,) = (each for each in dataset.DeformableRegistrationSequence if "DeformableRegistrationGridSequence" in each)
    raw = moving.DeformableRegistrationGridSequence[0]
    nx, ny, nz = raw.GridDimensions
    image = sitk.GetImageFromArray(np.frombuffer(raw.VectorGridData, "<f4").reshape(nz, ny, nx, 3).astype(float), isVector=True)
    image.SetSpacing(tuple(raw.GridResolution))
    image.SetOrigin(tuple(float(v) for v in raw.ImagePositionPatient))
    row, column = np.array(raw.ImageOrientationPatient, dtype=float).reshape(2, 3)
    image.SetDirection(np.column_stack([row, column, np.cross(row, column)]).ravel())
    deformation = sitk.DisplacementFieldTransform(image)
    before, after = (affine(moving[f"{when}DeformationMatrixRegistrationSequence"].value[0]) for when in ("Pre", "Post"))

    def apply(points: np.ndarray) -> np.ndarray:
        offsets = np.array([deformation.TransformPoint(p) for p in points]) - points
        moved = np.array([before.TransformPoint(p) for p in points]) + offsets
        return np.array([after.TransformPoint(p) for p in moved])

    return apply


def affine(registration: pydicom.Dataset) -> sitk.AffineTransform:
    matrix = np.array(registration.FrameOfReferenceTransformationMatrix, dtype=float).reshape(4, 4)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel())
    transform.SetTranslation(matrix[:3, 3])
    return transform


@pytest.mark.parametrize("pose", POSES)
def test_a_tumour_that_moves_to_the_feet_is_taken_there_and_back_by_the_standards_formula(tmp_path: Path, pose: str) -> None:
    geometry = grid(direction=POSES[pose])
    scene = scene_on(geometry, **TO_FEET)
    ct, motion = four_d_ct(scene, geometry), known_motion(scene, geometry)
    tumour = scene.tumour("50", geometry).points_mm[::23]
    there = write_deformable_registration(tmp_path / "there.dcm", motion, ct=ct, phase="00")
    moved = by_the_formula(there)(tumour)
    assert (moved[:, 2] < tumour[:, 2] - 7).all(), "to the feet"
    np.testing.assert_allclose(moved, scene.reference_to_phase("00", tumour), atol=0.15)
    np.testing.assert_allclose(moved, motion.reference_to_phase("00", tumour), atol=1e-3)
    back = write_deformable_registration(tmp_path / "back.dcm", motion, ct=ct, phase="00", mapping="phase_to_reference")
    in_phase = scene.tumour("00", geometry).points_mm[::23]
    returned = by_the_formula(back)(in_phase)
    assert (returned[:, 2] > in_phase[:, 2] + 7).all(), "and back to the head"
    np.testing.assert_allclose(returned, scene.phase_to_reference("00", in_phase), atol=0.15)


def test_the_object_pulls_the_source_image_onto_the_registered_one(tmp_path: Path) -> None:
    geometry = grid()
    scene = scene_on(geometry, **TO_FEET)
    path = write_deformable_registration(tmp_path / "REG.dcm", known_motion(scene, geometry), ct=four_d_ct(scene, geometry), phase="00")
    apply = by_the_formula(path)
    ball = scene.tumour("50", geometry)
    start, size = ball.box(4.0)
    window = geometry.crop(start, size)
    in_source = apply(window.centres().reshape(-1, 3))
    is_tumour_there = np.linalg.norm(scene.phase_to_reference("00", in_source) - scene.centre_mm, axis=-1) < scene.radius_mm
    pulled = Mask(is_tumour_there.reshape(window.shape), window)
    assert np.allclose(pulled.centroid_mm, ball.centroid_mm, atol=0.1)
    assert pulled.volume_cm3 == pytest.approx(ball.volume_cm3, rel=0.02)


def test_series_tell_the_phases_apart_where_the_frame_of_reference_cannot(tmp_path: Path) -> None:
    geometry = grid()
    scene = scene_on(geometry)
    ct, motion = four_d_ct(scene, geometry), known_motion(scene, geometry)
    reference, phase = ct.reference.identity, ct["00"].identity
    for mapping, registered, source in (("reference_to_phase", reference, phase), ("phase_to_reference", phase, reference)):
        path = write_deformable_registration(tmp_path / "REG.dcm", motion, ct=ct, phase="00", mapping=mapping)
        dataset = pydicom.dcmread(path)
        stays, moves = dataset.DeformableRegistrationSequence
        assert "DeformableRegistrationGridSequence" not in stays
        assert [each.ReferencedSOPInstanceUID for each in stays.ReferencedImageSequence] == list(registered.sop_instance_uids)
        assert [each.ReferencedSOPInstanceUID for each in moves.ReferencedImageSequence] == list(source.sop_instance_uids)
        assert stays.SourceFrameOfReferenceUID == moves.SourceFrameOfReferenceUID == dataset.FrameOfReferenceUID == geometry.frame_of_reference
        assert {each.SeriesInstanceUID for each in dataset.ReferencedSeriesSequence} == {reference.series_uid, phase.series_uid}
        assert (dataset.Modality, dataset.PatientID, dataset.StudyInstanceUID) == ("REG", PATIENT["PatientID"], "1.2")
        found = read_deformable_registration(path, on=ct.reference)
        assert (found.registered_series, found.source_series) == (registered.series_uid, source.series_uid)
        assert found.source_frame == geometry.frame_of_reference


@pytest.mark.parametrize("pose", POSES)
def test_the_field_comes_back_as_it_was(tmp_path: Path, pose: str) -> None:
    geometry = grid(direction=POSES[pose], size=(20, 18, 12))
    scene = scene_on(geometry)
    motion = known_motion(scene, geometry, crop=1)
    path = write_deformable_registration(tmp_path / "REG.dcm", motion, ct=four_d_ct(scene, geometry), phase="20")
    found = read_deformable_registration(path)
    assert np.array_equal(found.field.vectors_mm, motion.fields["20"].vectors_mm)
    assert found.geometry.is_same_grid(motion.region)
    assert found.geometry.frame_of_reference == geometry.frame_of_reference


def test_the_inverse_undoes_the_field_and_is_undefined_where_it_is_not_known(tmp_path: Path) -> None:
    geometry = grid(size=(24, 22, 20))
    scene = scene_on(geometry, **TO_FEET)
    motion = known_motion(scene, geometry, crop=2)
    ct = four_d_ct(scene, geometry)
    path = write_deformable_registration(tmp_path / "REG.dcm", motion, ct=ct, phase="00", mapping="phase_to_reference")
    raw = read_grid(path)
    assert 0 < np.isnan(raw.vectors_mm).any(axis=-1).mean() < 0.5
    back = read_deformable_registration(path)
    assert back.known.inside[10, 10, 10]
    assert not back.known.inside[-1].any(), "what lies at the head of the region came from beyond it"
    y = np.add(scene.centre_mm, [[0, 0, -6], [5, 3, -8], [-7, 2, -2]])
    np.testing.assert_allclose(motion.reference_to_phase("00", back.map(y)), y, atol=0.1)
    np.testing.assert_allclose(back.map(y), motion.phase_to_reference("00", y), atol=0.1)
    with pytest.raises(GeometryError, match="undefined"):
        back.map(motion.region.to_patient((8, 8, 15)))
    with pytest.raises(GeometryError, match=r"vectors undefined"):
        _ = back.field
    folded = np.zeros((*motion.region.shape, 3), dtype=np.float32)
    folded[..., 2] = -500.0
    with pytest.raises(RegistrationError, match="no inverse"):
        inverse_vectors(DisplacementField(folded, motion.region))


def test_matrices_of_other_systems_are_taken_in_before_and_after(tmp_path: Path) -> None:
    geometry = grid(size=(20, 18, 12), direction=POSES["oblique"])
    scene = scene_on(geometry)
    motion = known_motion(scene, geometry, crop=1)
    path = write_deformable_registration(tmp_path / "REG.dcm", motion, ct=four_d_ct(scene, geometry), phase="00")
    dataset = pydicom.dcmread(path)
    turn = np.array(POSES["oblique"]).reshape(3, 3)
    for when, shift in (("Pre", (3.0, -4.0, 5.0)), ("Post", (-30.0, 1.0, 12.0))):
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn if when == "Pre" else turn.T @ turn.T, shift
        holder = dataset.DeformableRegistrationSequence[1][f"{when}DeformationMatrixRegistrationSequence"].value[0]
        holder.FrameOfReferenceTransformationMatrix = [f"{v:.12g}" for v in matrix.ravel()]
    dataset.save_as(path)
    points = motion.region.to_patient([[5.3, 6.1, 4.9], [9, 9, 5], [12.5, 3.2, 7.7]])
    np.testing.assert_allclose(read_deformable_registration(path).map(points), by_the_formula(path)(points), atol=1e-3)


def test_absent_matrices_change_nothing(tmp_path: Path) -> None:
    geometry = grid(size=(8, 8, 8))
    scene = scene_on(geometry)
    motion = known_motion(scene, geometry, crop=1)
    path = write_deformable_registration(tmp_path / "REG.dcm", motion, ct=four_d_ct(scene, geometry), phase="00")
    dataset = pydicom.dcmread(path)
    del dataset.DeformableRegistrationSequence[1].PreDeformationMatrixRegistrationSequence
    dataset.DeformableRegistrationSequence[1].PostDeformationMatrixRegistrationSequence = Items([])
    dataset.save_as(path)
    assert np.array_equal(read_deformable_registration(path).field.vectors_mm, motion.fields["00"].vectors_mm)


def test_what_cannot_be_written_right_is_refused(tmp_path: Path) -> None:
    geometry = grid(size=(12, 12, 10))
    scene = scene_on(geometry)
    ct, motion = four_d_ct(scene, geometry), known_motion(scene, geometry, crop=1, failed=("20",))
    path = tmp_path / "REG.dcm"
    with pytest.raises(InputError, match="leads from the reference"):
        write_deformable_registration(path, motion, ct=ct, phase="50")
    with pytest.raises(InputError, match="leads from the reference"):
        write_deformable_registration(path, motion, ct=replace(ct, reference_label="00"), phase="80")
    with pytest.raises(RegistrationError, match=r"phase 20.*diverged"):
        write_deformable_registration(path, motion, ct=ct, phase="20")
    with pytest.raises(NotFoundError, match="found 35"):
        write_deformable_registration(path, motion, ct=ct, phase="35")
    with pytest.raises(InputError, match="direction"):
        write_deformable_registration(path, motion, ct=ct, phase="00", mapping="forward")
    elsewhere = four_d_ct(scene, replace(geometry, frame_of_reference="1.2.9"))
    with pytest.raises(GeometryError, match="not of this 4D-CT"):
        write_deformable_registration(path, motion, ct=elsewhere, phase="00")
    others = four_d_ct(scene, geometry, patient=PATIENT | {"PatientID": "P-2"})
    with pytest.raises(ContourError, match="different patients"):
        write_grid(path, motion.fields["00"].vectors_mm, motion.region, registered=ct["00"], source=others["50"])
    large = Geometry((2000, 2000, 100), (1, 1, 1), frame_of_reference=geometry.frame_of_reference)
    with pytest.raises(InputError, match=r"less than 4 GiB, found 4\.5 GiB"):
        write_grid(path, np.broadcast_to(np.float32(0), (*large.shape, 3)), large, registered=ct["00"], source=ct["50"])
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_belong_or_is_broken_is_refused(tmp_path: Path) -> None:
    geometry = grid(size=(10, 10, 8))
    scene = scene_on(geometry)
    ct, motion = four_d_ct(scene, geometry), known_motion(scene, geometry, crop=1)
    path = write_deformable_registration(tmp_path / "REG.dcm", motion, ct=ct, phase="00")
    with pytest.raises(ContourError, match="different patients"):
        read_deformable_registration(path, on=ct_image(geometry, PATIENT | {"PatientID": "P-2"}))
    with pytest.raises(ContourError, match="another frame of reference"):
        read_deformable_registration(path, on=ct_image(replace(geometry, frame_of_reference="1.9")))
    with pytest.raises(NotFoundError, match="No such file"):
        read_deformable_registration(tmp_path / "none.dcm")
    dataset = pydicom.dcmread(path)
    dataset.DeformableRegistrationSequence[1].DeformableRegistrationGridSequence[0].GridDimensions = [80, 80, 80]
    dataset.save_as(tmp_path / "short.dcm")
    with pytest.raises(DicomError, match=r"cut short.*expected 6144000 bytes"):
        read_deformable_registration(tmp_path / "short.dcm")
    whole, rng = path.read_bytes(), np.random.default_rng(5)
    for n in range(100):
        broken = bytearray(whole[: rng.integers(140, len(whole))] if n % 2 else whole)
        for at in rng.integers(132, min(len(broken), 4000), 3):
            broken[at] = rng.integers(256)
        (tmp_path / "broken.dcm").write_bytes(broken)
        try:
            read_deformable_registration(tmp_path / "broken.dcm", on=ct.reference)
        except Rt4dError:
            continue


@needs_program("dciodvfy")
@pytest.mark.parametrize("mapping", ["reference_to_phase", "phase_to_reference"])
def test_dciodvfy_finds_no_error(tmp_path: Path, mapping: str) -> None:
    geometry = grid(size=(12, 12, 10), direction=POSES["oblique"])
    scene = scene_on(geometry)
    write_deformable_registration(
        tmp_path / "REG.dcm", known_motion(scene, geometry, crop=1), ct=four_d_ct(scene, geometry), phase="00", mapping=mapping
    )
    said = subprocess.run(["dciodvfy", tmp_path / "REG.dcm"], capture_output=True, text=True, check=False)
    assert "DeformableSpatialRegistration" in said.stderr + said.stdout
    assert not [line for line in (said.stderr + said.stdout).splitlines() if "Error" in line]


@needs_program("dciodvfy")
def test_phases_in_one_multi_frame_file_are_told_by_frame_numbers(tmp_path: Path) -> None:
    geometry = grid(size=(6, 6, 4))
    image = ct_image(geometry, multi_frame=True)
    other = replace(image, identity=replace(image.identity, frame_numbers=(5, 6, 7, 8)))
    vectors = np.zeros((*geometry.shape, 3), np.float32)
    path = write_grid(tmp_path / "REG.dcm", vectors, geometry, registered=image, source=other)
    stays, moves = pydicom.dcmread(path).DeformableRegistrationSequence
    assert list(stays.ReferencedImageSequence[0].ReferencedFrameNumber) == [1, 2, 3, 4]
    assert list(moves.ReferencedImageSequence[0].ReferencedFrameNumber) == [5, 6, 7, 8]
    said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    assert not [line for line in (said.stderr + said.stdout).splitlines() if "Error" in line]


@needs_program("dcmdump")
def test_dcmtk_reads_the_grid(tmp_path: Path) -> None:
    geometry = grid(size=(8, 8, 8))
    scene = scene_on(geometry)
    motion: Motion = known_motion(scene, geometry, crop=1)
    path = write_deformable_registration(tmp_path / "REG.dcm", motion, ct=four_d_ct(scene, geometry), phase="00")
    said = subprocess.run(["dcmdump", "+L", path], capture_output=True, text=True, check=True).stdout
    (line,) = (each for each in said.splitlines() if "VectorGridData" in each)
    values = [float(v) for v in line.split(" OF ")[1].split(" #")[0].strip().split("\\")]
    np.testing.assert_allclose(values, motion.fields["00"].vectors_mm.ravel(), rtol=1e-4, atol=1e-5)
