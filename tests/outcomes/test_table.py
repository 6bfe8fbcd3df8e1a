"""A cohort table is read whatever its kind, and refused, row by row, where it contradicts itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rt4d.errors import InputError, NotFoundError
from rt4d.outcomes.table import Cohort, cohort_from_table, where
from rt4d.tables import read_table

Write = Callable[[str], pd.DataFrame]
PLAIN = "patient,days,event,fp_cm3\nA,10,1,0.5\nB,20,0,1.5\nC,30,1,2.5\nD,40,2,3.5\n"


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(text: str) -> pd.DataFrame:
        path = tmp_path / "cohort.csv"
        path.write_text(text, encoding="utf-8")
        return read_table(path)

    return write


def made(table: pd.DataFrame, *covariates: str, **options: str) -> Cohort:
    return cohort_from_table(table, time="days", event="event", covariates=covariates or ["fp_cm3"], **options)  # type: ignore[arg-type]


def test_a_cohort_says_how_many_patients_and_events_of_each_kind(written: Write) -> None:
    found = made(written(PLAIN))
    assert (found.n, found.events, found.competing_events, found.rows, found.lost, found.notes) == (4, 2, 1, (2, 3, 4, 5), (), ())


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_decimal_commas_are_read(written: Write, separator: str) -> None:
    text = PLAIN.replace(",", separator)
    text = text.replace("0.5", "0,5") if separator == ";" else text
    assert made(written("\ufeff" + text)).covariates["fp_cm3"].tolist() == [0.5, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_excel_and_parquet_give_the_same_cohort(written: Write, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cohort{suffix}"
    frame = pd.read_csv(tmp_path / "cohort.csv") if written(PLAIN) is not None else None
    assert frame is not None
    frame.to_excel(path, index=False) if suffix == ".xlsx" else frame.to_parquet(path)
    found = made(read_table(path))
    assert (found.time.tolist(), found.event.tolist(), found.rows) == ([10, 20, 30, 40], [1, 0, 1, 2], (2, 3, 4, 5))


@pytest.mark.parametrize(
    ("change", "said", "row"),
    [
        (("B,20", "B,-20"), "must be positive", "row 3"),
        (("B,20", "B,0"), "must be positive", "row 3"),
        (("B,20", "B,soon"), "must hold numbers", "row 3"),
        (("D,40,2", "D,40,3"), r"0 \(censored\), 1 \(event\)", "row 5"),
        (("D,40,2", "D,40,0.5"), r"0 \(censored\), 1 \(event\)", "row 5"),
        (("C,30,1,2.5", "C,30,1,unknown"), "must hold numbers", "row 4"),
        (("C,30,1,2.5", "C,30,1,inf"), "must hold numbers", "row 4"),
        (("B,20", ",20"), "whose it is", "row 3"),
        (("B,20", "A,20"), "several rows", "rows 2, 3"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused_by_row(written: Write, change: tuple[str, str], said: str, row: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        made(written(PLAIN.replace(*change)))
    assert row in refusal.value.where


def test_patients_are_named_by_row_and_never_by_their_identifier(written: Write) -> None:
    with pytest.raises(InputError) as refusal:
        made(written(PLAIN.replace("B,20", "SMITH^JOHN,20").replace("C,30", "SMITH^JOHN,30")))
    assert "SMITH" not in str(refusal.value)


def test_doubled_patients_say_which_column_tells_them_apart(written: Write) -> None:
    table = written("patient,model,days,event,fp_cm3\nA,old,10,1,1\nA,new,10,1,2\nB,old,20,0,3\nB,new,20,0,4\n")
    with pytest.raises(InputError, match="--where model=new or --where model=old"):
        made(table)
    assert made(where(table, column="model", value="new")).covariates["fp_cm3"].tolist() == [2, 4]


def test_empty_rows_are_passed_over_but_counted(written: Write) -> None:
    assert made(written(PLAIN.replace("C,30", "\n,,,\nC,30") + "\n\n")).rows == (2, 3, 6, 7)


def test_a_value_that_no_row_has_lists_those_there_are(written: Write) -> None:
    with pytest.raises(InputError, match="one of A, B, C, D"):
        where(written(PLAIN), column="patient", value="E")
    with pytest.raises(NotFoundError, match="patient, days, event, fp_cm3"):
        where(written(PLAIN), column="model", value="E")


def test_without_a_patient_column_every_row_is_taken_for_a_patient_and_that_is_said(written: Write) -> None:
    assert "every row is taken for a patient" in made(written(PLAIN.replace("patient", "who"))).notes[0]


def test_nothing_happens_after_death(written: Write) -> None:
    table = written("patient,days,event,fp_cm3,died_days\nA,10,1,1,9\nB,20,0,2,\nC,30,1,3,30\n")
    with pytest.raises(InputError, match="after the patient's death") as refusal:
        made(table, death="died_days")
    assert "row 2" in refusal.value.where
    assert made(table).n == 3


def test_missing_values_are_named_by_row_and_counted_by_who_is_lost(written: Write) -> None:
    text = "patient,days,event,fp_cm3,dice,gtv\nA,10,1,1,0,\nB,20,0,2,0.5,7\nC,30,1,3,0.6,8\nD,40,1,,0.7,9\nE,50,0,2,0.8,9\n"
    found = made(written(text), "fp_cm3", "gtv")
    assert (found.n, found.lost) == (3, (2, 5))
    lost = "\n".join(found.notes)
    assert "fp_cm3 is missing in row 5: 1 patient with 1 event left out" in lost
    assert "gtv is missing in row 2: 1 patient with 1 event left out, among them 1 tumour that the machine missed (1 in all)" in lost
    assert "Left out in all: 2 of 5 patients, with 2 events" in lost


def test_follow_up_that_looks_imputed_is_said(written: Write) -> None:
    rows = [f"P{n},{100 + n if n < 5 else 2400},{int(n < 5)},{n % 4}" for n in range(20)]
    assert "all 15 censored patients carry exactly 2400 days" in made(written("patient,days,event,fp_cm3\n" + "\n".join(rows) + "\n")).notes[0]


def test_real_follow_up_is_not_taken_for_imputed(written: Write) -> None:
    rows = [f"P{n},{100 + 7 * n},{int(n < 5)},{n % 4}" for n in range(40)]
    assert made(written("patient,days,event,fp_cm3\n" + "\n".join(rows) + "\n")).notes == ()


def test_words_become_levels_against_the_most_frequent(written: Write) -> None:
    table = written("patient,days,event,lobe\nA,10,1,upper\nB,20,0,lower\nC,30,1,upper\nD,40,1,middle\n")
    found = made(table, "lobe")
    assert {name: values.tolist() for name, values in found.covariates.items()} == {
        "lobe: lower against upper": [0, 1, 0, 0],
        "lobe: middle against upper": [0, 0, 0, 1],
    }


def test_words_of_too_many_kinds_are_refused(written: Write) -> None:
    rows = "".join(f"P{n},{n + 1},1,word{n}\n" for n in range(12))
    with pytest.raises(InputError, match="a few levels"):
        made(written("patient,days,event,note\n" + rows), "note")


def test_nobody_with_the_event_is_refused(written: Write) -> None:
    with pytest.raises(InputError, match="Nobody had the event"):
        made(written(PLAIN.replace(",1,", ",0,")))


def test_a_cohort_of_unequal_arrays_is_refused() -> None:
    with pytest.raises(InputError, match="one time, one event"):
        Cohort(np.array([1.0, 2.0]), np.array([1]), {})
    with pytest.raises(InputError, match="unit"):
        Cohort(np.array([1.0]), np.array([1]), {}, unit="weeks")  # type: ignore[arg-type]
