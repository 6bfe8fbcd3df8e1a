"""`rt4d itv` without a contour: the segmenter gives the GTV, the highest-scored candidate or those asked for, and the others are listed.

A stand-in calls tumour what is tissue within 30 mm of one of the phantom's tumours, and is surer of the larger.
"""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pydicom
import pytest

import rt4d
from rt4d import cli
from rt4d.agreement import dice
from rt4d.images import read_mask
from rt4d.phantom import Tumour, make_4dct
from rt4d.segmentation.chest import find_chest
from rt4d.segmentation.probabilities import Probability
from rt4d.segmentation.space import share_in_space, to_space
from rt4d.segmented import segmented_targets
from tests.cli.conftest import PHASES, QUICK
from tests.segmentation.make import a_bundle

SHARES = (0.95, 0.85)


@pytest.fixture(scope="module")
def case():
    tumours = [Tumour((-75.0, 10.0, 10.0), 30.0), Tumour((75.0, 10.0, 10.0), 24.0)]
    return make_4dct(size=(80, 60, 40), spacing_mm=(4.5, 4.5, 6.0), phases=PHASES, amplitude_mm=(0.0, 2.0, 12.0), tumours=tumours)


@pytest.fixture(scope="module")
def folder(case, tmp_path_factory):
    return case.write(tmp_path_factory.mktemp("two") / "case") / "4dct"


@pytest.fixture(scope="module")
def model(case):
    """The probability is known: each tumour's share of the voxel, times how sure the stand-in is of it."""

    def known(volume, bundle, *, point_mm=None, flips=False, progress=None):
        upright = to_space(volume, bundle.space)
        shares = [sure * share_in_space(case.gtv("50", n), upright.geometry) for n, sure in enumerate(SHARES)]
        return Probability(np.maximum(*shares), None, upright.geometry, find_chest(upright), ("a stand-in",))

    bundle = a_bundle(threshold=0.4, threshold_at_point=0.4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rt4d.segmentation.segmenting.probability", known)
        for place in ("rt4d.segmentation.segmenting.read_bundle", "rt4d.patient.read_bundle"):
            patch.setattr(place, lambda _: bundle)
        yield bundle


def planned(folder, out, *options):
    """Run the main job: its exit code, stdout and stderr."""
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        code = cli.run(["itv", str(folder), "--recipe", str(QUICK), "--out", str(out), *map(str, options)])
    return code, said.getvalue(), told.getvalue()


def test_an_unknown_model_is_refused_before_the_ct_is_read(folder, tmp_path):
    """Stands before the tests with a stand-in, which is there for the whole module."""
    code, _, told = planned(folder, tmp_path / "out", "--bundle", "no_such_model")
    assert code == 2
    assert "No segmentation model of that name" in told
    assert "reading" not in told


@pytest.fixture(scope="module")
def alone(model, folder, tmp_path_factory):
    """The main job with nothing but a 4D-CT."""
    out = tmp_path_factory.mktemp("alone") / "out"
    code, said, told = planned(folder, out)
    assert code in (0, 1), told
    return out, said, told


def test_without_a_contour_the_highest_scored_candidate_is_the_gtv(alone, case):
    out, said, told = alone
    summary, record = (json.loads((out / name).read_text()) for name in ("summary.json", "run.json"))
    (target,) = summary["targets"]
    assert (target["name"], target["roi"]) == ("ITV", "candidate 1")
    assert target["source"].startswith("segmented by stand_in")
    assert dice(read_mask(out / "gtv_50.nii.gz"), case.gtv("50", 0)) > 0.85
    listed = summary["segmentation"]["candidates"]
    assert [(one["number"], one["kept"], one["side"]) for one in listed] == [(1, True, "right"), (2, False, "left")]
    assert "highest score" in listed[1]["why_not"]
    assert record["model"] == {"name": "stand_in", "sha256": "0" * 64}
    assert "segmentation" in record["seconds"]
    assert {"torch", "monai"} < set(record["versions"])
    assert "not kept: another has the highest score" in said
    assert "note: a stand-in" in told


def test_the_report_lists_the_candidates_and_says_that_nobody_drew_the_gtv(alone):
    page = (alone[0] / "report.html").read_text()
    assert "<h2>Candidates</h2>" in page
    assert "Nobody drew the GTV" in page
    assert "not included: another has the highest score" in page
    assert "from ROI candidate" not in page


def test_the_structure_set_says_that_nobody_drew_it(alone):
    rois = {str(roi.ROIName): str(roi.get("ROIDescription", "")) for roi in pydicom.dcmread(alone[0] / "rtstruct.dcm").StructureSetROISequence}
    assert "segmented by stand_in" in rois["GTV_T50"]
    assert "drawn" not in " ".join(rois.values())


def test_every_candidate_that_is_asked_for_is_a_target(model, case):
    found, targets = segmented_targets(case.ct, keep=(1, 2))
    assert [target.name for target in targets] == ["candidate 1", "candidate 2"]
    assert [dice(target.masks["50"], case.gtv("50", n)) > 0.85 for n, target in enumerate(targets)] == [True, True]
    assert len(found.kept) == 2


@pytest.mark.slow
def test_every_candidate_that_is_kept_has_its_own_itv(model, folder, tmp_path, case):
    code, said, told = planned(folder, tmp_path / "out", "--keep", "1,2", "--json")
    assert code in (0, 1), told
    first, second = json.loads(said)["targets"]
    assert [first["roi"], second["roi"]] == ["candidate 1", "candidate 2"]
    assert [first["name"], second["name"]] == ["ITV1", "ITV2"]
    assert dice(read_mask(tmp_path / "out" / "gtv2_50.nii.gz"), case.gtv("50", 1)) > 0.85


def test_a_point_chooses_its_lesion(model, case):
    place = case.gtv("50", 1).centroid_mm
    found, (target,) = segmented_targets(case.ct, point_mm=place)
    assert target.masks["50"].centroid_mm == pytest.approx(place, abs=3)
    assert len(found.candidates) == 1


def test_where_nothing_is_found_it_says_how_to_go_on(model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.cli.test_itv_segmented.SHARES", (0.1, 0.1))
    code, said, told = planned(folder, tmp_path / "out")
    assert (code, said) == (2, "")
    for words in ("No lesion was found on this CT", "--gtv", "--point"):
        assert words in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gtv", "rs.dcm", "--point=1,2,3"], "from a contour or from the segmenter"),
        (["--gtv", "rs.dcm", "--keep", "1"], "from a contour or from the segmenter"),
        (["--roi", "GTV"], "ROI names need their structure set"),
        (["--point=1,2,3", "--keep", "1"], "exclude one another"),
        (["--keep", "0"], "--keep takes numbers"),
        (["--keep", "9"], "no candidate of that number"),
    ],
)
def test_calls_that_contradict_themselves_are_refused(model, folder, tmp_path, options, said):
    code, _, told = planned(folder, tmp_path / "out", *options)
    assert code == 2
    assert said in told
    assert not (tmp_path / "out").exists()


def test_in_a_script_as_on_the_command_line(model, case):
    """The design's ten lines: segment, track, union."""
    gtv = rt4d.segment(case.ct.reference).primary
    assert dice(gtv, case.reference_gtv) > 0.85
