"""Tables from a clinic: every kind gives the same cells, and what cannot be read is refused with what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from rt4d.errors import InputError, NotFoundError
from rt4d.tables import read_table


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_and_files_are_read_as_they_stand(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "contours.csv"
    volume = "1.50" if separator == "," else "1,50"
    lines = [["patient", " volume ", "file"], ["007", volume, "NA"], [], ['"a, b; c"', "0", ""]]
    path.write_text("\ufeff" + "\n".join(separator.join(line) for line in lines), encoding="utf-8")
    table = read_table(path, as_text=True)
    assert list(table.columns) == ["patient", "volume", "file"]
    assert table.index.tolist() == [2, 4]
    assert table["patient"].tolist() == ["007", "a, b; c"]
    assert table["file"].tolist() == ["NA", ""]
    assert table["volume"].tolist() == [volume, "0"]


def test_a_quoted_cell_may_stand_after_a_space(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('patient, "file, of it"\nP1, "masks/a, b.nii.gz"\n')
    for as_text in (True, False):
        assert read_table(tmp_path / "a.csv", as_text=as_text).to_dict("list") == {"patient": ["P1"], "file, of it": ["masks/a, b.nii.gz"]}


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_excel_and_parquet_give_the_texts_that_a_csv_gives(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"patient": ["007", "NA"], "file": ["a.dcm", None]})
    path = tmp_path / f"contours{suffix}"
    frame.to_excel(path, index=False) if suffix == ".xlsx" else frame.to_parquet(path)
    assert read_table(path, as_text=True).to_dict("list") == {"patient": ["007", "NA"], "file": ["a.dcm", ""]}


@pytest.mark.parametrize(("suffix", "library"), [(".xlsx", "openpyxl"), (".parquet", "pyarrow")])
def test_without_its_library_a_table_is_refused_naming_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, library: str) -> None:
    path = tmp_path / f"cohort{suffix}"
    pd.DataFrame({"a": [1]}).to_excel(path) if suffix == ".xlsx" else pd.DataFrame({"a": [1]}).to_parquet(path)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=r"rt4d\[tables\]"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "cannot be read"),
        ("a.csv", b"x,y\n", "no rows"),
        ("a.csv", b"x,x\n1,2\n", "twice"),
        ("a.csv", "Größe,y\n1,2\n".encode("latin-1"), "UTF-8"),
        ("a.csv", b"x,y\n1,2\n1,2,3,4\n", "cannot be read"),
        ("a.xlsx", b"no workbook", "cannot be read"),
        ("a.parquet", b"no parquet", "cannot be read"),
        ("a.sav", b"spss", "not a kind of table"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_table(tmp_path / name)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such table"):
        read_table(tmp_path / "none.csv")


def test_too_little_memory_is_not_called_a_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object, **__: object) -> None:
        raise MemoryError

    (tmp_path / "a.csv").write_text("x\n1\n")
    monkeypatch.setattr(pd, "read_csv", out_of_memory)
    with pytest.raises(MemoryError):
        read_table(tmp_path / "a.csv")
