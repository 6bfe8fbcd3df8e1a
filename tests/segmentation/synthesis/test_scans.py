"""A synthetic scan is its seed's, its labels fit its tumours, and nothing lies outside the body."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from rt4d.segmentation.cases import Case, read_case, write_case
from rt4d.segmentation.synthesis import Host, MaskShape, hosts, make_scan, read_nodules, read_shapes
from rt4d.segmentation.synthesis.chests import lay_out
from rt4d.segmentation.synthesis.inserting import HEART_MM, ground_of, place
from rt4d.segmentation.synthesis.scans import SMALL_CM3
from rt4d.segmentation.synthesis.shapes import any_pose, lobulated

SEEDS = (3, 1, 2)
"""With one, two and two tumours."""


@pytest.fixture(scope="module")
def scans(host: Host) -> list[Case]:
    return [make_scan(seed, host=host) for seed in SEEDS]


def test_a_seed_makes_the_same_scan_again(host: Host, scans: list[Case]) -> None:
    again = make_scan(1, host=host)
    assert np.array_equal(again.hu, scans[1].hu)
    assert np.array_equal(again.lesions, scans[1].lesions)
    assert again.made == scans[1].made
    assert not np.array_equal(scans[1].hu.ravel()[:1000], scans[2].hu.ravel()[:1000])


def test_labels_hold_the_volume_that_was_drawn(scans: list[Case]) -> None:
    for scan in scans:
        drawn = sum(lesion["drawn_cm3"] for lesion in scan.made["lesions"])
        assert sum(scan.volumes_cm3) == pytest.approx(drawn, rel=0.05, abs=0.1)


def test_every_lesion_is_one_connected_piece(scans: list[Case]) -> None:
    for scan in scans:
        for number in range(1, scan.lesion_count + 1):
            assert ndimage.label(scan.owner == number, structure=np.ones((3, 3, 3)))[1] == 1


def test_a_scan_without_a_tumour_has_no_label(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rt4d.segmentation.synthesis.scans.COUNTS", (1.0,))
    scan = make_scan(2, host=host)
    assert not scan.lesions.any()
    assert not scan.owner.any()
    assert scan.made["lesions"] == []


def test_tumours_are_as_dense_as_tissue(scans: list[Case]) -> None:
    for scan in scans:
        if scan.lesion_count and not any(lesion["glass"] or lesion["cavity"] for lesion in scan.made["lesions"]):
            assert -60 < float(np.median(scan.hu[scan.lesions > 250])) < 200


def test_what_is_written_is_read_again(scans: list[Case], tmp_path: Path) -> None:
    back = read_case(write_case(tmp_path / "case.npz", scans[0]))
    assert np.array_equal(back.hu, scans[0].hu)
    assert back.made == scans[0].made
    assert back.host == "generated-5"


@pytest.mark.parametrize("kind", ["parenchymal", "pleural", "basal", "central", "apical", "nodal"])
def test_a_placed_tumour_has_the_volume_asked_for_and_keeps_off_bone_and_air(host: Host, kind: str) -> None:
    rng = np.random.default_rng(3)
    chest = lay_out(host, rng)
    ground = ground_of(chest)
    found = [place(chest, ground, kind, 12.0, lobulated(rng), any_pose(rng), rng) for _ in range(2)]  # type: ignore[arg-type]
    placed = [one for one in found if one is not None]
    assert placed
    for one in placed:
        assert one.volume_cm3 == pytest.approx(12.0, rel=0.25)
        tissue = chest.tissue[one.window]
        deep = one.share > 0.6
        assert not np.isin(tissue[deep], (hosts.OUTSIDE, hosts.AIRWAY)).any()
        assert float(one.share[tissue == hosts.BONE].sum()) < 0.05 * float(one.share.sum())


def test_a_node_lies_above_the_heart(host: Host) -> None:
    rng = np.random.default_rng(5)
    chest = lay_out(host, rng)
    ground = ground_of(chest)
    placed = [place(chest, ground, "nodal", 25.0, lobulated(rng), any_pose(rng), rng) for _ in range(12)]
    spacing = chest.geometry.spacing_mm[2]
    lowest = [float((one.middle[0] - chest.carina_z) * spacing - one.radius_mm) for one in placed if one is not None]
    assert lowest
    assert min(lowest) > -HEART_MM - 2 * spacing


def test_a_basal_tumour_stands_on_the_diaphragm(host: Host) -> None:
    rng = np.random.default_rng(5)
    chest = lay_out(host, rng)
    ground = ground_of(chest)
    placed = [one for one in (place(chest, ground, "basal", 60.0, lobulated(rng), any_pose(rng), rng) for _ in range(4)) if one is not None]
    assert placed
    for one in placed:
        tumour = ndimage.binary_dilation(one.share > 0.5, iterations=2)
        assert (chest.tissue[one.window][tumour] == hosts.ABDOMEN).any()


def test_the_generated_chest_is_told_apart(host: Host) -> None:
    litres = {code: np.count_nonzero(host.tissue == code) * np.prod(host.geometry.spacing_mm) / 1e6 for code in range(8)}
    assert 1.0 < litres[hosts.RIGHT_LUNG] < 4.0
    assert 0.8 < litres[hosts.LEFT_LUNG] < 4.0
    x = {code: np.argwhere(host.tissue == code)[:, 2].mean() for code in (hosts.RIGHT_LUNG, hosts.LEFT_LUNG, hosts.MEDIASTINUM)}
    assert x[hosts.RIGHT_LUNG] < x[hosts.MEDIASTINUM] < x[hosts.LEFT_LUNG]
    assert litres[hosts.AIRWAY] > 0.005
    assert host.carina_z_mm == pytest.approx(20.0, abs=20.0)


def test_scans_name_whose_shapes_and_nodules_they_show(host: Host, real_data: Path) -> None:
    shapes = read_shapes(real_data / "gtv_shapes" / "rtog0617_machine_gtv.npz", part="held")
    nodules = read_nodules(real_data / "lidc_nodules", part="held")
    scan = make_scan(7, host=host, shapes=shapes, nodules=nodules)
    assert isinstance(shapes[0], MaskShape)
    known = {shape.name for shape in shapes} | {nodule.patient for nodule in nodules}
    materials = {lesion["material"] for lesion in scan.made["lesions"]} - {"parametric"}
    assert materials
    assert materials <= set(scan.patients) <= known


def test_small_lesions_come_on_top_where_they_are_asked_for(host: Host, real_data: Path, scans: list[Case]) -> None:
    nodules = read_nodules(real_data / "lidc_nodules", part="train")
    drawn, both = make_scan(2, host=host, small=6), make_scan(2, host=host, nodules=nodules, small=6)
    usual = len(scans[SEEDS.index(2)].made["lesions"])
    assert [lesion["kind"] for lesion in drawn.made["lesions"][:usual]] == [lesion["kind"] for lesion in scans[SEEDS.index(2)].made["lesions"]]
    assert usual + 2 <= len(drawn.made["lesions"]) <= usual + 3
    assert all(lesion["drawn_cm3"] < 1.1 * SMALL_CM3[1] for lesion in drawn.made["lesions"][usual:])
    real = [lesion for lesion in both.made["lesions"] if lesion["kind"] == "nodule"]
    assert len(real) >= 2
    assert {lesion["material"] for lesion in real} <= {nodule.patient for nodule in nodules}
