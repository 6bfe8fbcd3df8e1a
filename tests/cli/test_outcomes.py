"""`rt4d outcomes`: hazard ratios with their units, what is refused, and what is said before they are believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rt4d import cli
from tests.outcomes.made import simulated

Run = Callable[..., tuple[int, str, str]]
ASK = ("--time", "follow_up_days", "--event", "died")


def lines(voxel_mm3: tuple[float, ...] = (8.0,), *, effect: float = 0.2, competing: bool = False, twice: bool = False) -> str:
    """A cohort of 120 patients as a table; voxel sizes take turns."""
    made = simulated(effect=effect, competing=competing)
    text = ["patient,model,follow_up_days,died,false_positive_voxels,voxel_volume_mm3,false_positive_cm3,physician_volume_cm3,centre"]
    for n in range(made.n):
        size, volume = voxel_mm3[n % len(voxel_mm3)], made.covariates["false_positive_cm3"][n]
        row = f"{made.time[n]!r},{made.event[n]},{volume * 1000 / size},{size},{volume},{made.covariates['gtv_volume_cm3'][n]},C{n % 24}"
        text += [f"P{n},{model},{row}" for model in (("old", "new") if twice else ("new",))]
    return "\n".join(text).replace("np.float64(", "").replace("),", ",") + "\n"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(text: str, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "cohort.csv"
        path.write_text(text, encoding="utf-8")
        code = cli.run(["outcomes", str(path), *ASK, *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def answer(run: Run, text: str, *options: str) -> dict[str, Any]:
    code, out, err = run(text, *options, "--json")
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def test_json_holds_n_events_and_one_joint_cox_model(run: Run) -> None:
    found = answer(run, lines(), "--covariates", "false_positive_cm3,physician_volume_cm3")
    made = simulated(effect=0.2)
    assert (found["n"], found["events"]) == (120, made.events)
    assert list(found["cox"]) == ["false_positive_cm3", "physician_volume_cm3"]
    effect = found["cox"]["false_positive_cm3"]
    assert effect["ci95"][0] < effect["hazard_ratio"] < effect["ci95"][1]
    assert effect["hazard_ratio"] == pytest.approx(np.exp(0.2), rel=0.15)
    assert effect["p"] < 0.001
    assert effect["unit"] == "per cm³"


def test_voxels_of_one_size_have_a_hazard_ratio_per_voxel_and_per_cm3(run: Run) -> None:
    found = answer(run, lines(), "--covariates", "false_positive_voxels")["cox"]["false_positive_voxels"]
    assert found["unit"] == "per voxel of 8 mm³"
    assert found["per_cm3"]["hazard_ratio"] == pytest.approx(found["hazard_ratio"] ** 125)
    by_volume = answer(run, lines(), "--covariates", "false_positive_cm3")["cox"]["false_positive_cm3"]
    assert found["per_cm3"]["hazard_ratio"] == pytest.approx(by_volume["hazard_ratio"], rel=1e-6)


def test_voxels_of_mixed_sizes_are_refused_a_hazard_ratio_per_voxel_and_given_one_per_cm3(run: Run) -> None:
    found = answer(run, lines((8.0, 3.0)), "--covariates", "false_positive_voxels")
    refused = found["cox"]["false_positive_voxels"]
    assert (refused["hazard_ratio"], refused["ci95"], refused["p"], refused["given_as"]) == (None, None, None, "false_positive_cm3")
    assert found["cox"]["false_positive_cm3"]["hazard_ratio"] == pytest.approx(np.exp(0.2), rel=0.15)
    assert any("3 to 8 mm³" in warning for warning in found["warnings"])


def test_the_hazard_ratio_per_cm3_does_not_depend_on_the_grid(run: Run) -> None:
    options = ("--covariates", "false_positive_voxels", "--per-voxel-of", "1000")
    fine, mixed = (answer(run, lines(sizes), *options)["cox"]["false_positive_voxels"] for sizes in ((1.0,), (8.0, 3.0, 1.0)))
    assert fine["hazard_ratio"] == pytest.approx(mixed["hazard_ratio"], rel=1e-9)


def test_adjusting_for_the_volume_of_the_gtv_is_offered_unasked(run: Run) -> None:
    found = answer(run, lines(), "--covariates", "false_positive_cm3")["adjusted_for_gtv_volume"]
    assert (found["volume"], found["n"]) == ("physician_volume_cm3", 120)
    assert set(found["before"]) == set(found["after"]) == {"false_positive_cm3"}
    assert 0.2 < found["spearman_with_volume"]["false_positive_cm3"] < 1


def test_two_rows_for_each_patient_need_where(run: Run) -> None:
    code, out, err = run(lines(twice=True), "--covariates", "false_positive_cm3")
    assert (code, out) == (2, "")
    assert "--where model=new or --where model=old" in err
    assert answer(run, lines(twice=True), "--covariates", "false_positive_cm3", "--where", "model=old")["n"] == 120


def test_competing_adds_fine_and_gray_and_cumulative_incidence(run: Run) -> None:
    text = lines(competing=True)
    found = answer(run, text, "--covariates", "false_positive_cm3", "--competing")
    assert found["competing_events"] > 10
    assert found["competing"]["fine_gray"]["false_positive_cm3"]["hazard_ratio"] > 1
    for event, other in zip(*found["competing"]["cumulative_incidence"].values(), strict=True):
        assert event["value"] + other["value"] <= 1
    unasked = answer(run, text, "--covariates", "false_positive_cm3")
    assert unasked["competing"] is None
    assert any("cause-specific" in warning for warning in unasked["warnings"])


def test_centres_make_the_variance_robust(run: Run) -> None:
    found = answer(run, lines(), "--covariates", "false_positive_cm3", "--cluster", "centre")
    assert (found["variance"], found["centres"]) == ("robust by centre", 24)


def test_a_person_reads_sentences_with_units(run: Run) -> None:
    code, out, err = run(lines((8.0, 3.0)), "--covariates", "false_positive_voxels,physician_volume_cm3")
    assert (code, err) == (0, "")
    assert "In words: 1 cm³ more of false_positive_cm3 goes with a hazard" in out
    assert "No hazard ratio per voxel" in out
    assert "counted from is not stated" in out


def test_a_null_result_is_said_as_one(run: Run) -> None:
    _, out, _ = run(lines(effect=0.0), "--covariates", "false_positive_cm3", "--time-zero", "start of radiotherapy")
    assert "these patients show no clear association" in out
    assert "counted from start of radiotherapy" in out


def test_the_same_table_gives_the_same_answer(run: Run) -> None:
    one, other = (run(lines(), "--covariates", "false_positive_cm3", "--json") for _ in range(2))
    assert one == other


def test_the_answer_is_given_again_without_misses_and_by_the_bare_number_of_voxels(run: Run) -> None:
    header, *rows = lines((8.0, 3.0)).splitlines()
    text = "\n".join([f"{header},recall", *(f"{row},{0 if n % 30 == 0 else 0.8}" for n, row in enumerate(rows))]) + "\n"
    found = answer(run, text, "--covariates", "false_positive_voxels")["sensitivity"]
    assert [(each["n"], list(each["cox"])) for each in found] == [
        (116, ["false_positive_cm3"]),
        (120, ["false_positive_cm3"]),
        (120, ["false_positive_voxels"]),
    ]
    assert "4 tumours that the machine missed" in found[0]["what"]
    assert found[2]["cox"]["false_positive_voxels"]["unit"].startswith("per standard deviation")


def test_a_level_says_what_it_is_compared_with(run: Run) -> None:
    header, *rows = lines().splitlines()
    text = "\n".join([f"{header},lobe", *(f"{row},{'lower' if n % 3 == 0 else 'upper'}" for n, row in enumerate(rows))]) + "\n"
    _, out, _ = run(text, "--covariates", "false_positive_cm3,lobe")
    assert "lobe: lower against upper" in out
    assert "against upper, against" not in out


def test_few_events_for_many_covariates_are_warned_of(run: Run) -> None:
    text = "patient,follow_up_days,died,a,b\n" + "".join(f"P{n},{n + 5},{int(n % 3 == 0)},{n * 7 % 11},{n * 5 % 13}\n" for n in range(36))
    assert any("6.0 events per covariate" in warning for warning in answer(run, text, "--covariates", "a,b")["warnings"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--covariates", "nothing"), "no such column"),
        (("--covariates", "false_positive_cm3,"), "--covariates takes columns"),
        (("--covariates", "false_positive_cm3", "--where", "model"), "COLUMN=VALUE"),
        (("--covariates", "false_positive_cm3", "--where", "model=none"), "one of new"),
        (("--covariates", "false_positive_cm3", "--competing"), "competing events"),
        (("--covariates", "false_positive_cm3", "--unit", "months"), "contradicts"),
        (("--covariates", "false_positive_cm3", "--unit", "weeks"), "weeks"),
        (("--covariates", "false_positive_cm3", "--per-voxel-of", "0"), "--per-voxel-of"),
        (("--covariates", "false_positive_cm3", "--gtv-volume", "none"), "no such column"),
        (("--covariates", "false_positive_cm3,false_positive_voxels"), "collinear"),
    ],
)
def test_a_call_that_cannot_be_answered_is_refused_in_one_line(run: Run, options: tuple[str, ...], said: str) -> None:
    code, out, err = run(lines(), *options)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("model", ["automated", "assisted"])
def test_the_real_table_says_what_it_is(real_data: Path, capsys: pytest.CaptureFixture[str], model: str) -> None:
    path = real_data / "radiogenomics_outcome" / "contours_and_survival.csv"
    options = ["--covariates", "false_positive_voxels,physician_volume_cm3", "--where", f"model={model}", "--json"]
    assert cli.run(["outcomes", str(path), *ASK, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] + len(found["lost_rows"]) == 133
    said = "\n".join(found["warnings"])
    assert "carry exactly 2400 days" in said
    assert "No hazard ratio per voxel" in said
    assert found["cox"]["false_positive_voxels"]["hazard_ratio"] is None
