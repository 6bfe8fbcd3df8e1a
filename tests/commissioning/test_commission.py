"""The end-to-end test itself: sound cases pass, wrong ones are caught, and the record shows any change. Cases are tiny; the full run is slow."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rt4d.commissioning import running
from rt4d.commissioning.cases import Case, generated_cases, own_cases, sabotaged_case
from rt4d.commissioning.measures import MEASURES, SOUND, figures_of_volumes, sound_figures
from rt4d.commissioning.record import fingerprint, verify, write_record
from rt4d.commissioning.running import Commissioning, commission
from rt4d.commissioning.tolerances import read_tolerances
from rt4d.errors import InputError, NotFoundError
from rt4d.motion import PhaseMasks, read_recipe
from rt4d.phantom import Tumour, make_4dct
from rt4d.provenance import sha256
from rt4d.target import itv

QUICK = str(Path(__file__).parent.parent / "recipes" / "quick")
TINY = {"size": (80, 60, 40), "spacing_mm": (4.0, 4.0, 6.0), "amplitude_mm": (0.0, 2.0, 8.0)}
SEEN = Case("tiny", "quick", partial(make_4dct, phases=("00", "50"), tumours=[Tumour((70.0, 15.0, -5.0), 34.0)], seed=3, **TINY))


def coarse(**changed):
    """The default tolerances, wider where voxels of 4 × 4 × 6 mm ask for it."""
    given = read_tolerances()
    wide = {"centroid_error_mm": 2.0, "amplitude_error_mm": 3.0, "itv_volume_error_percent": 15.0} | changed
    by_measure = {name: replace(each, value=wide.get(name, each.value)) for name, each in given.by_measure.items()}
    return replace(given, by_measure=by_measure)


def refused(message):
    raise InputError(message)


@pytest.fixture(scope="module")
def found():
    """A sound and a sabotaged case through all of rt4d, and one that cannot be made."""
    wrong = sabotaged_case(**TINY)
    impossible = Case("folded", "too large", partial(refused, "So large a motion would fold the anatomy"), "own CT")
    return commission([SEEN, wrong, impossible], tolerances=coarse(), recipe=QUICK)


@pytest.fixture
def written(found, tmp_path):
    return write_record(found, tmp_path), tmp_path


def test_a_sound_case_passes_with_every_figure_measured(found):
    result = found.results[0]
    assert set(result.figures) == set(SOUND)
    assert all(value is not None for value in result.figures.values())
    assert result.verdict == "pass", result.figures
    assert result.figures["contour_round_trip_voxels"] == 0
    assert result.figures["tre_gtv_mean_mm"] <= result.figures["tre_gtv_p95_mm"] <= result.figures["tre_gtv_max_mm"]


def test_the_phases_made_wrong_on_purpose_are_flagged(found):
    result = found.results[1]
    assert result.figures == {"sabotage_missed": 0}
    assert {check.phase for check in result.failed_checks} >= {"00", "20"}


def test_an_own_ct_that_cannot_be_breathed_so_far_does_not_count_unless_none_can(found):
    assert found.results[2].verdict == "not made"
    assert not found.passed
    own = replace(found.results[0], case=replace(SEEN, kind="own CT"))
    assert replace(found, results=(*found.results, own)).passed


def test_a_figure_outside_its_tolerance_fails_the_case_and_the_whole(found):
    strict = replace(found.results[0], tolerances=coarse(tre_gtv_mean_mm=1e-6))
    assert strict.verdicts["tre_gtv_mean_mm"] == "fail"
    assert not Commissioning((strict,), strict.tolerances, 1.0).passed


def test_a_generated_case_that_rt4d_refuses_fails_with_its_reason():
    broken = Case("broken", "refused", partial(refused, "No such thing"))
    result = commission([broken], tolerances=read_tolerances())
    assert (result.results[0].verdict, result.results[0].error) == ("fail", "No such thing")
    assert not result.passed


def test_the_record_holds_versions_tolerances_and_every_figure(written):
    record, folder = written
    assert json.loads((folder / "commission.json").read_text()) == json.loads(json.dumps(record))
    assert {"rt4d", "numpy", "itk-elastix"} <= set(record["versions"])
    assert set(record["tolerances"]["measures"]) == set(MEASURES)
    assert record["recipes"] == [{"name": "quick", "sha256": read_recipe(QUICK).sha256}]
    assert record["recipe_files"] == {f"quick/{name}": sha256(Path(QUICK) / name) for name in ("recipe.toml", "bspline.txt")}
    assert QUICK not in json.dumps(record)
    assert set(record["files"]) == {"figures/case_01.png", "figures/case_02.png"}
    assert [case["verdict"] for case in record["cases"]] == ["pass", "pass", "not made"]


def test_an_untouched_folder_is_as_it_was_made(written):
    assert verify(written[1]) == ()


def test_any_change_of_the_record_shows(written):
    record, folder = written
    record["cases"][0]["figures"]["gtv_dice"] = 0.999
    (folder / "commission.json").write_text(json.dumps(record))
    (changed,) = verify(folder)
    assert "commission.json was changed" in changed


def test_a_changed_or_missing_picture_shows(written):
    _, folder = written
    (folder / "figures" / "case_01.png").write_bytes(b"other")
    (folder / "figures" / "case_02.png").unlink()
    assert verify(folder) == ("figures/case_01.png was changed", "figures/case_02.png is missing")


def test_the_fingerprint_does_not_depend_on_order_or_layout():
    assert fingerprint({"a": 1, "b": [1.5, "ü"], "sha256": "x"}) == fingerprint({"b": [1.5, "ü"], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_what_is_no_record_is_refused(tmp_path):
    with pytest.raises(NotFoundError):
        verify(tmp_path)
    (tmp_path / "commission.json").write_text("[]")
    with pytest.raises(InputError, match="no record"):
        verify(tmp_path)


def test_the_report_stands_alone_and_names_every_figure_with_its_unit_and_source(written):
    record, folder = written
    page = html.unescape((folder / "report.html").read_text())
    assert "http" not in page.replace("http-equiv", "")
    assert record["sha256"] in page
    for name, measure in MEASURES.items():
        assert measure.title in page
        assert record["tolerances"]["measures"][name]["source"] in page
    assert "prefers-color-scheme: dark" in page
    assert "was not made and does not count" in page


def test_without_a_case_nothing_is_commissioned():
    with pytest.raises(InputError, match="no case"):
        commission([], tolerances=read_tolerances())


def test_centroids_and_amplitude_are_measured_as_they_are_reported():
    """Right masks do not hide a wrong trajectory: it is what summary, report and mid-ventilation go by."""
    case = SEEN.make()
    truth = {label: case.gtv(label) for label in case.ct.labels}
    x, y, z = truth["00"].centroid_mm
    wrong = PhaseMasks(truth, reference_label="50", finer_mm={"00": (x + 9.0, y, z)})
    right = figures_of_volumes(case, itv(PhaseMasks(truth, reference_label="50")))
    assert right["centroid_error_mm"] == right["amplitude_error_mm"] == 0
    figures = figures_of_volumes(case, itv(wrong))
    assert figures["gtv_dice"] == figures["itv_dice"] == 1
    assert figures["centroid_error_mm"] == pytest.approx(9)
    assert figures["amplitude_error_mm"] == pytest.approx(9, abs=1)


@pytest.mark.slow
def test_a_wrong_itv_and_a_wrong_field_are_measured_as_wrong(tmp_path):
    """Judged by a truth that moves 12 mm further than the images do, every figure of position must show it."""
    case = SEEN.make()
    further = make_4dct(phases=("00", "50"), tumours=[Tumour((70.0, 15.0, -5.0), 34.0)], seed=3, **(TINY | {"amplitude_mm": (0.0, 2.0, 20.0)}))
    case.write(tmp_path / "case")
    result = running.planned(case, tmp_path, recipe=QUICK)
    figures = sound_figures(replace(case, motion=further.motion, _made={}), result, tmp_path / "result")
    for name in ("amplitude_error_mm", "centroid_error_mm", "tre_gtv_mean_mm"):
        assert figures[name] == pytest.approx(12, abs=2), name
    assert figures["gtv_dice"] < 0.75
    assert figures["itv_volume_error_percent"] < -15


def test_the_generated_cases_are_several_kinds_with_one_wrong_on_purpose():
    cases = generated_cases()
    assert len({case.name for case in cases}) == len(cases) >= 6
    assert [case.kind for case in cases].count("sabotaged") == 1


def test_the_own_ct_moves_as_far_as_is_asked(found):
    phantom = SEEN.make()
    cases = own_cases(phantom.ct.reference, "tumour", phantom.reference_gtv, amplitudes_mm=(4.0, 8.0))
    assert [case.name for case in cases] == ["own CT, 4 mm", "own CT, 8 mm"]
    breathed = cases[1].make()
    assert np.ptp([place[2] for place in breathed.trajectory_mm().values()]) == pytest.approx(8, abs=0.01)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_rt4d_passes_its_own_commissioning():
    result = commission(generated_cases(), tolerances=read_tolerances())
    assert [(each.case.name, each.verdict, each.error) for each in result.results if each.verdict != "pass"] == []


