"""Tables as they come from elsewhere: read as they were meant, or refused, or doubted aloud; never taken for something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rt4d.errors import InputError
from rt4d.outcomes.analysis import Analysis, Question, analyse
from rt4d.outcomes.caveats import caveats
from rt4d.outcomes.table import Cohort, cohort_from_table
from rt4d.outcomes.units import unit_of_time
from rt4d.outcomes.voxel_units import in_units
from rt4d.tables import read_table
from tests.outcomes.made import simulated


def table(n: int = 60, **more: object) -> pd.DataFrame:
    """One row per patient, as a spreadsheet numbers them, with further columns."""
    made = simulated(n, effect=0.2)
    columns = {"patient": [f"P{k}" for k in range(n)], "days": made.time, "event": made.event, "fp_cm3": made.covariates["false_positive_cm3"]}
    return pd.DataFrame(columns | more, index=np.arange(2, n + 2))


def cohort(given: pd.DataFrame, *covariates: str, time: str = "days", unit: str = "days") -> Cohort:
    return cohort_from_table(given, time=time, event="event", covariates=covariates or ["fp_cm3"], unit=unit)  # type: ignore[arg-type]


def asked(given: pd.DataFrame, *covariates: str, **options: object) -> Analysis:
    return analyse(given, Question("days", "event", covariates or ("fp_cm3",), **options), repetitions=20)  # type: ignore[arg-type]


def said(found: Analysis) -> str:
    return "\n".join(caveats(found))


@pytest.mark.parametrize("values", [["0,5", "1,5", "2,5"], ["0,5", "1", "2,5"], ["1.234,5", "0,5", "1,0"]])
def test_decimal_commas_are_not_taken_for_words(values: list[str]) -> None:
    with pytest.raises(InputError, match=r"decimal comma.*rows 2"):
        cohort(table(dose_gy=[values[n % 3] for n in range(60)]), "dose_gy")


@pytest.mark.parametrize("words", [("yes", "no"), ("True", "False"), ("dead", "alive")])
def test_events_in_words_say_how_to_write_them(words: tuple[str, str]) -> None:
    given = table()
    with pytest.raises(InputError, match=r"0 \(censored\).*found '(yes|True|dead)', '(no|False|alive)'. Write") as refusal:
        cohort(given.assign(event=[words[int(event == 0)] for event in given["event"]]))
    assert "event, rows 2, 3" in refusal.value.where


def test_cells_that_are_no_numbers_say_what_to_do() -> None:
    with pytest.raises(InputError, match=r"row 4.*found '<0.1'. Write a number"):
        cohort(table(volume_cm3=["1.5", "2.5", "<0.1", *["3"] * 57]), "volume_cm3")


def test_durations_are_not_taken_for_numbers() -> None:
    given = table()
    with pytest.raises(InputError, match="Give the time as a number of days or months"):
        cohort(given.assign(days=pd.to_timedelta(given["days"], unit="D")))


@pytest.mark.parametrize("name", ["Patient", "PATIENT_ID", "Patient ID", "patientID"])
def test_patients_are_known_by_their_column_however_it_is_written(name: str) -> None:
    doubled = pd.concat([table(), table().iloc[:2]]).rename(columns={"patient": name})
    with pytest.raises(InputError, match="several rows"):
        cohort(doubled)


@pytest.mark.parametrize("column", ["follow_up_years", "Weeks", "time_in_years", "hours"])
def test_a_time_in_another_unit_is_refused(column: str) -> None:
    with pytest.raises(InputError, match="days or months"):
        unit_of_time(column, None)


def test_the_unit_of_time_is_told_by_the_column_or_stated() -> None:
    assert (unit_of_time("follow_up_days", None), unit_of_time("OS_Months", None), unit_of_time("t", "months")) == ("days", "months", "months")
    assert unit_of_time("t", None) is None
    with pytest.raises(InputError, match="contradicts"):
        unit_of_time("follow_up_days", "months")


def test_a_unit_that_nothing_tells_is_said_to_be_assumed() -> None:
    given = table().rename(columns={"days": "t"})
    found = analyse(given, Question("t", "event", ("fp_cm3",)), repetitions=20)
    assert "t does not say its unit and is taken to be in days (--unit)" in said(found)
    assert "does not say its unit" not in said(asked(table()))


def test_follow_up_longer_than_a_life_is_refused() -> None:
    with pytest.raises(InputError, match=r"longer than a life.*rows? .*--unit"):
        cohort(table(), unit="months")


def test_a_cohort_in_which_nobody_is_censored_is_doubted() -> None:
    given = table()
    found = asked(given.assign(event=given["event"] + 1))
    assert "Nobody is censored" in said(found)
    assert "1 for censored and 2 for the event" in said(found)
    assert "Nobody is censored" not in said(asked(given))


def test_where_all_events_compete_the_code_is_said() -> None:
    with pytest.raises(InputError, match=r"Nobody had the event.*expected at least one 1, found 60 competing events \(2\)"):
        cohort(table().assign(event=2))


@pytest.mark.parametrize("column", ["days", "event", "patient"])
def test_what_defines_the_outcome_is_no_covariate(column: str) -> None:
    with pytest.raises(InputError, match="covariate"):
        cohort(table(), "fp_cm3", column)


def voxels(**more: object) -> pd.DataFrame:
    given = table()
    return given.assign(**({"fp_voxels": (given["fp_cm3"] * 1000 / 8).round(), "voxel_volume_mm3": 8.0} | more))


def test_a_count_of_voxels_of_unknown_size_says_nothing() -> None:
    given = voxels()
    given.loc[6, "voxel_volume_mm3"] = np.nan
    found = asked(given, "fp_voxels")
    assert (found.cohort.n, found.cohort.lost) == (59, (6,))
    assert "voxel_volume_mm3 is missing in row 6, so that fp_voxels says nothing there" in said(found)


@pytest.mark.parametrize(("column", "value", "message"), [("voxel_volume_mm3", 0, "must be positive"), ("fp_voxels", -3, "cannot be negative")])
def test_impossible_voxels_are_refused_by_row(column: str, value: float, message: str) -> None:
    given = voxels()
    given.loc[6, column] = value
    with pytest.raises(InputError, match=message) as refusal:
        in_units(given, ["fp_voxels"])
    assert "row 6" in refusal.value.where


def test_a_count_that_contradicts_the_volume_beside_it_is_refused() -> None:
    given = voxels()
    given.loc[6, "fp_cm3"] *= 3
    with pytest.raises(InputError, match=r"contradict.*row 6"):
        in_units(given, ["fp_voxels"])
    assert in_units(voxels(), ["fp_voxels"]).refused == {}


@pytest.mark.parametrize("name", ["fp_voxel_count", "FP_Voxels", "fp_voxels_n"])
def test_a_count_is_known_by_its_name_however_it_is_written(name: str) -> None:
    given = voxels().rename(columns={"fp_voxels": name}).drop(columns="fp_cm3")
    assert in_units(given, [name]).units == {name: "per voxel of 8 mm³"}
    given.loc[6:, "voxel_volume_mm3"] = 3.0
    assert [each.lower() for each in in_units(given, [name]).asked.values()] == ["fp_cm3"]


@pytest.mark.parametrize("volume", [np.nan, 30.0, "unknown"])
def test_a_volume_that_nobody_asked_for_does_not_stop_the_answer(volume: object) -> None:
    given = table(gtv_volume_cm3=volume)
    found = asked(given)
    assert found.adjusted is None
    assert "Not adjusted for gtv_volume_cm3: " in said(found)
    with pytest.raises(InputError):
        asked(given, gtv_volume="gtv_volume_cm3")


def test_without_a_volume_of_the_gtv_adjusting_for_it_is_offered() -> None:
    assert "Not adjusted for the volume of the GTV: no column of the table is known to hold it (--gtv-volume)" in said(asked(table()))


def test_few_centres_do_not_keep_the_bootstrap_from_its_estimates() -> None:
    found = asked(table(centre=[n % 3 for n in range(60)]), cluster="centre")
    assert found.bootstrap is not None


def test_a_covariate_in_an_absurd_unit_is_said_and_stays_readable() -> None:
    from rt4d.outcomes.telling import as_text

    given = table()
    found = asked(given.assign(fp_m3=given["fp_cm3"] * 1e-6), "fp_m3")
    assert "fp_m3" in said(found)
    assert "another unit" in said(found)
    assert max(map(len, as_text(found).splitlines())) < 300


def test_a_double_column_of_a_workbook_is_refused(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (["patient", "days", "days"], ["A", 1, 2]):
        book.active.append(row)
    book.save(tmp_path / "cohort.xlsx")
    with pytest.raises(InputError, match=r"twice.*days"):
        read_table(tmp_path / "cohort.xlsx")


def test_an_index_with_a_name_is_a_column_of_a_parquet_file(tmp_path: Path) -> None:
    table().set_index("patient").to_parquet(tmp_path / "cohort.parquet")
    assert list(read_table(tmp_path / "cohort.parquet")["patient"]) == list(table()["patient"])


def test_decimal_commas_between_commas_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cohort.csv").write_text("patient,days,fp\nA,10,0,5\nB,20,1,5\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"more cells than the header.*semicolons"):
        read_table(tmp_path / "cohort.csv")
