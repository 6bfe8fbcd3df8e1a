"""The model that rt4d ships: it finds what it should, without any input and at a point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rt4d
import rt4d.images
from rt4d.agreement import dice
from rt4d.cli import run
from rt4d.cli.demo import SMALL
from rt4d.phantom import Phantom, make_4dct
from rt4d.segmentation.bundle import DEFAULT, read_bundle

PHILIPS_LESION_MM = (-86.0, 77.0, -2.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_4dct(**SMALL)


def test_the_shipped_model_reads_and_stays_small() -> None:
    bundle = read_bundle(DEFAULT)
    assert bundle.name == "gtv_lung"
    assert sum(path.stat().st_size for path in bundle.members) < 40e6


def test_the_shipped_model_finds_a_generated_tumour_without_any_input(phantom: Phantom) -> None:
    found = rt4d.segment(phantom.ct.reference)
    assert dice(found.primary, phantom.reference_gtv) > 0.8
    assert len(found.kept) <= 3


def test_the_shipped_model_outlines_the_tumour_at_a_point(phantom: Phantom) -> None:
    found = rt4d.segment(phantom.ct.reference, point_mm=phantom.reference_gtv.centroid_mm)
    assert dice(found.primary, phantom.reference_gtv) > 0.8


def test_the_lesion_of_a_real_4dct_is_found_without_any_input(real_data: Path) -> None:
    ct = rt4d.read_4dct(real_data / "4dct_philips", reference="50")
    lesion = rt4d.segment(ct.reference).first
    assert np.linalg.norm(np.subtract(lesion.centroid_mm, PHILIPS_LESION_MM)) < 15


@pytest.mark.slow
def test_the_main_job_on_a_real_4dct_needs_no_input(real_data: Path, tmp_path: Path) -> None:
    assert run(["itv", str(real_data / "4dct_philips"), "--out", str(tmp_path / "out")]) in (0, 1)
    itv = rt4d.images.read_mask(tmp_path / "out/itv.nii.gz")
    assert np.linalg.norm(np.subtract(itv.centroid_mm, PHILIPS_LESION_MM)) < 15
