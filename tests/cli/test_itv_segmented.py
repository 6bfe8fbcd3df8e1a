"""`rt4d itv` without a contour: the segmenter gives the GTV, the highest-scored candidate or those asked for, and the others are listed.

A stand-in knows where the phantom's tumours lie in each phase, and is surer of the larger. With --segment-phases
it looks at every phase, for comparison.
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
SEEN = {label: label for label in PHASES}
"""The phase in which the stand-in believes that it is; none where it sees nothing."""


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
        label = next(SEEN.get(phase.label) for phase in case.ct if np.array_equal(phase.volume.hu, volume.hu))
        sures = SHARES if label else (0.0, 0.0)
        shares = [sure * share_in_space(case.gtv(label or "50", n), upright.geometry) for n, sure in enumerate(sures)]
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
    for others in ((), ("--gtv", folder.parent / "gtv.dcm", "--segment-phases")):
        code, _, told = planned(folder, tmp_path / "out", "--bundle", "no_such_model", *others)
        assert code == 2
        assert "No segmentation model of that name" in told
        assert "--gtv RTSTRUCT" in told
        assert "reading" not in told


@pytest.fixture(scope="module")
def alone(model, folder, tmp_path_factory):
    """The main job with nothing but a 4D-CT."""
    out = tmp_path_factory.mktemp("alone") / "out"
    code, said, told = planned(folder, out)
    assert code in (0, 1), told
    return out, said, told


@pytest.fixture(scope="module")
def checked(model, folder, tmp_path_factory):
    """A physician's GTV of the smaller tumour, and the segmenter on each phase: it sees nothing at 25, and at 00 the tumour where it lies at 50."""
    out = tmp_path_factory.mktemp("checked") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.cli.test_itv_segmented.SEEN", {"00": "50", "50": "50", "75": "75"})
        options = ["--gtv", folder.parent / "gtv.dcm", "--roi", "GTV2", "--segment-phases", "--bundle", "stand_in"]
        code, said, told = planned(folder, out, *options)
    assert code in (0, 1), told
    return out, said, told


@pytest.mark.slow
def test_on_every_phase_the_segmenter_is_compared_with_the_carried_gtv(checked, case):
    out, said, told = checked
    (target,) = json.loads((out / "summary.json").read_text())["targets"]
    assert list(target["segmented"]) == list(PHASES)
    assert target["segmented"]["25"] is None
    for label, seen in (("00", "50"), ("50", "50"), ("75", "75")):
        carried, one = read_mask(out / f"gtv_{label}.nii.gz"), target["segmented"][label]
        assert one["volume_cm3"] == pytest.approx(case.gtv(seen, 1).volume_cm3, rel=0.15)
        assert one["dice"] == pytest.approx(dice(carried, case.gtv(seen, 1)), abs=0.1)
        apart = np.linalg.norm(np.subtract(carried.centroid_mm, case.gtv(seen, 1).centroid_mm))
        assert one["centroid_distance_mm"] == pytest.approx(apart, abs=1)
    middle = sorted(one["dice"] for one in target["segmented"].values() if one)[1]
    assert f"median DSC {middle:.2f}, worst phase 00 ({target['segmented']['00']['dice']:.2f}); nothing found in 25" in said
    assert "segmenting phases: 4 of 4" in told


@pytest.mark.slow
def test_the_comparison_changes_neither_the_union_nor_the_verdict(checked):
    """At 25 nothing was found and at 00 something else: both phases stay as they were carried."""
    out, _, _ = checked
    summary = json.loads((out / "summary.json").read_text())
    (target,) = summary["targets"]
    phases = {label: read_mask(out / f"gtv_{label}.nii.gz") for label in PHASES}
    union = np.logical_or.reduce([mask.inside for mask in phases.values()])
    assert np.array_equal(read_mask(out / "itv.nii.gz").inside, union)
    assert target["failed"] == {}
    assert {check["verdict"] for check in summary["checks"]} == {summary["verdict"]} == {"pass"}
    assert not [check["name"] for check in summary["checks"] if "segment" in check["name"]]


@pytest.mark.slow
def test_report_and_record_tell_of_the_comparison(checked):
    page, record = ((checked[0] / name).read_text() for name in ("report.html", "run.json"))
    assert "<h3>Segmented on each phase</h3>" in page
    assert "by stand_in" in page
    assert "nothing found" in page
    assert "Nobody drew the GTV" not in page
    assert json.loads(record)["model"] == {"name": "stand_in", "sha256": "0" * 64}
    assert json.loads(record)["options"]["segment_phases"] is True
    assert "segmented_phases" in json.loads(record)["seconds"]


def test_without_being_asked_no_phase_is_segmented(alone):
    (target,) = json.loads((alone[0] / "summary.json").read_text())["targets"]
    assert target["segmented"] is None
    assert "Segmented on each phase" not in (alone[0] / "report.html").read_text()
    assert "median DSC" not in alone[1]


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
    assert "more with scores" not in page


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
        (["--gtv", "rs.dcm", "--bundle", "stand_in"], "from a contour or from the segmenter"),
        (["--gtv", "rs.dcm", "--segment-phases", "--keep", "1"], "from a contour or from the segmenter"),
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
