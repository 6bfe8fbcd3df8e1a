"""A cohort table that names the contours themselves: what the machine alone drew is measured, each patient on the physician's grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rt4d import cli
from rt4d.errors import InputError, NotFoundError
from rt4d.geometry import Geometry
from rt4d.images import write_mask
from rt4d.outcomes.contours import with_discordance
from rt4d.outcomes.discordance import discordance
from rt4d.volumes import Mask

ASKED = ("false_positive_cm3",)


def drawn(folder: Path, name: str, columns: int, *, spacing_mm: float = 2.0) -> Mask:
    """A block whose length along x is so many voxels, written to the folder."""
    geometry = Geometry((16, 6, 6), (spacing_mm, 2.0, 2.0))
    inside = np.zeros(geometry.shape, dtype=bool)
    inside[1:5, 1:5, 2 : 2 + columns] = True
    mask = Mask(inside, geometry)
    write_mask(folder / name, mask)
    return mask


def cohort(folder: Path, patients: int = 3) -> pd.DataFrame:
    """Physicians drew four columns of voxels, and the machine one more of each further patient."""
    for n in range(patients):
        drawn(folder, f"machine_{n}.nii.gz", 4 + n)
        drawn(folder, f"physician_{n}.nii.gz", 4)
    columns = {who: [f"{who}_{n}.nii.gz" for n in range(patients)] for who in ("machine", "physician")}
    return pd.DataFrame({"patient": [f"P{n}" for n in range(patients)], **columns}, index=range(2, patients + 2))


def test_what_only_the_machine_drew_is_measured_of_every_patient(tmp_path: Path) -> None:
    found, notes = with_discordance(cohort(tmp_path), ASKED, folder=tmp_path)
    assert found["false_positive_voxels"].tolist() == [0, 16, 32]
    assert found["false_positive_cm3"].tolist() == pytest.approx([0, 0.128, 0.256])
    assert found["false_positive_fraction"].tolist() == pytest.approx([0, 1 / 5, 2 / 6])
    assert found["voxel_volume_mm3"].tolist() == pytest.approx([8, 8, 8])
    assert found["physician_volume_cm3"].tolist() == pytest.approx([0.512] * 3)
    assert any("on trust" in note or "frame of reference" in note for note in notes)


def test_it_is_what_discordance_says_of_the_two_masks(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    one = discordance(drawn(tmp_path, "machine_0.nii.gz", 7), drawn(tmp_path, "physician_0.nii.gz", 5))
    row = with_discordance(table, ASKED, folder=tmp_path)[0].iloc[0]
    for name in ("false_positive_voxels", "false_negative_voxels", "false_positive_cm3", "false_positive_fraction", "false_negative_fraction"):
        assert row[name] == pytest.approx(getattr(one, name))


def test_a_patient_without_a_contour_has_no_discordance(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    table.loc[3, "machine"] = None
    found, _ = with_discordance(table, ASKED, folder=tmp_path)
    assert found["false_positive_voxels"].isna().tolist() == [False, True, False]


def test_a_table_that_has_the_columns_is_left_as_it_is(tmp_path: Path) -> None:
    table = cohort(tmp_path).assign(false_positive_cm3=1.0)
    assert with_discordance(table, ASKED, folder=tmp_path)[0] is table
    assert with_discordance(table, ["age"], folder=tmp_path)[0] is table
    assert with_discordance(table.drop(columns=["machine", "false_positive_cm3"]), ASKED, folder=tmp_path)[1] == ()


def test_contours_that_are_not_there_are_named_by_row_before_any_is_read(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    table.loc[4, "physician"] = "nobody.nii.gz"
    with pytest.raises(NotFoundError, match="row 4"):
        with_discordance(table, ASKED, folder=tmp_path)


def test_a_contour_that_cannot_be_read_is_named_by_row(tmp_path: Path) -> None:
    table = cohort(tmp_path)
    (tmp_path / "machine_1.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="row 3"):
        with_discordance(table, ASKED, folder=tmp_path)


def test_the_command_measures_the_contours_that_a_table_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = cohort(tmp_path, 8).assign(days=[50, 90, 30, 80, 20, 60, 10, 70], event=[1, 0, 1, 1, 0, 1, 1, 1])
    table.to_csv(tmp_path / "cohort.csv", index=False)
    asked = ["--time", "days", "--event", "event", "--covariates", "false_positive_voxels", "--json"]
    assert cli.run(["outcomes", str(tmp_path / "cohort.csv"), *asked]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["cox"]["false_positive_voxels"]["unit"] == "per voxel of 8 mm³"
    assert "contours: 8 of 8" in said.err
