"""Scenes are read back with the standard library alone: 3D Slicer itself is not here."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import unquote

import numpy as np
import pytest
import SimpleITK as sitk

from rt4d.geometry import Geometry
from rt4d.images import read_volume
from rt4d.slicer import write_scene
from tests.conftest import POSES
from tests.report.make import LABELS, made_result
from tests.slicer.nrrd import read_nrrd

REFERENCES = ("backgroundVolumeID", "foregroundVolumeID")


def grid(pose: str) -> Geometry:
    """One on which the balls of `made_result` lie inside, in every pose."""
    half = np.array((59 * 2.0, 55 * 2.0, 39 * 3.0)) / 2
    direction = np.array(POSES[pose]).reshape(3, 3)
    return Geometry((60, 56, 40), (2.0, 2.0, 3.0), tuple(np.array((-2.0, 4.0, 8.0)) - direction @ half), POSES[pose], "1.2.3")


@pytest.fixture(params=["HFS", "oblique"], scope="module")
def made(request, tmp_path_factory):
    result = made_result(geometry=grid(request.param), targets=2)
    rois = [roi for target in result.targets for roi in target.itv.rois]
    return result.ct, rois, write_scene(tmp_path_factory.mktemp("scene") / "slicer", result.ct, rois=rois)


def nodes(scene):
    return list(ElementTree.parse(scene).getroot())


def test_every_file_that_the_scene_names_is_beside_it(made):
    *_, scene = made
    names = {unquote(node.get("fileName")) for node in nodes(scene) if node.get("fileName")}
    assert names == {"ct.nrrd", "phases.seq.nrrd", "contours.seg.nrrd"}
    for name in names:
        assert not PurePosixPath(name).is_absolute()
        assert not PureWindowsPath(name).is_absolute()
        assert (scene.parent / name).is_file()
    assert {path.name for path in scene.parent.iterdir()} == names | {"scene.mrml"}


def test_every_node_that_a_node_refers_to_is_there(made):
    *_, scene = made
    ids = [node.get("id") for node in nodes(scene)]
    assert len(set(ids)) == len(ids)
    wanted = [node.get(name) for node in nodes(scene) for name in REFERENCES if node.get(name)]
    for node in nodes(scene):
        for entry in filter(None, (node.get("references") or "").split(";")):
            wanted += entry.partition(":")[2].split()
    assert len(wanted) > 8
    assert set(wanted) <= set(ids)


def test_volumes_and_contours_have_what_slicer_needs_to_show_them(made):
    *_, scene = made
    by_tag = {}
    for node in nodes(scene):
        by_tag.setdefault(node.tag, []).append(node)
    assert ElementTree.parse(scene).getroot().tag == "MRML"
    assert {len(by_tag[tag]) for tag in ("Segmentation", "SegmentationDisplay", "SegmentationStorage", "Sequence", "SequenceBrowser")} == {1}
    assert [node.get("name") for node in by_tag["Volume"]] == ["CT phase 50", "CT phases"]
    assert {node.get("layoutName") for node in by_tag["SliceComposite"]} == {"Red", "Yellow", "Green"}
    for node in by_tag["VolumeDisplay"]:
        assert (float(node.get("window")), float(node.get("level"))) == (1250, -375)


def test_the_reference_phase_is_there_whole_and_in_its_place(made):
    ct, _, scene = made
    volume = read_volume(scene.parent / "ct.nrrd")
    assert volume.geometry.is_same_grid(ct.geometry)
    assert np.array_equal(volume.hu, ct.reference.volume.hu)
    assert volume.hu.dtype == np.int16


def test_the_phases_play_around_the_targets_in_the_order_of_the_cycle(made):
    ct, rois, scene = made
    file = read_nrrd(scene.parent / "phases.seq.nrrd")
    assert file.fields["kinds"] == "list domain domain domain"
    assert file.keys["axis 0 index type"] == "text"
    assert file.keys["axis 0 index values"].split() == list(LABELS)
    assert file.keys["DataNodeClassName"] == "vtkMRMLScalarVolumeNode"
    corner = np.rint(ct.geometry.to_index(file.place((0, 0, 0)))).astype(int)
    assert np.abs(ct.geometry.to_patient(corner) - file.place((0, 0, 0))).max() < 1e-9
    x, y, z = corner
    for number, phase in enumerate(ct):
        frame = file.array[number].T
        there = phase.volume.hu[z : z + frame.shape[0], y : y + frame.shape[1], x : x + frame.shape[2]]
        assert np.array_equal(frame, there)
    image = sitk.ReadImage(str(scene.parent / "phases.seq.nrrd"))
    assert image.GetDirection() == pytest.approx(ct.geometry.direction)
    last = np.array(file.array.shape[1:]) - 1
    for roi in rois:
        index = ct.geometry.to_index(roi.mask.points_mm) - corner
        assert index.min() >= 0
        assert (index <= last).all()


def test_the_browser_starts_at_the_reference_phase(made):
    *_, scene = made
    (browser,) = (node for node in nodes(scene) if node.tag == "SequenceBrowser")
    assert LABELS[int(browser.get("selectedItemNumber"))] == "50"
    assert browser.get("virtualNodePostfixes") == "0"


def test_the_same_input_gives_the_same_files(made, tmp_path):
    ct, rois, scene = made
    again = write_scene(tmp_path / "again", ct, rois=rois)
    for path in scene.parent.iterdir():
        assert path.read_bytes() == (again.parent / path.name).read_bytes()
