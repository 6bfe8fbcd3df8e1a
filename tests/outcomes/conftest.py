"""What R says of its own tables, computed when the tests run."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rt4d.geometry import Floats
from rt4d.tables import read_table

SCRIPT = Path(__file__).with_name("oracle.R")


@dataclass(frozen=True)
class Oracle:
    """The tables that R wrote, and its figures by name."""

    folder: Path
    figures: dict[str, Floats]

    def table(self, name: str) -> pd.DataFrame:
        return read_table(self.folder / f"{name}.csv")

    def __getitem__(self, name: str) -> Floats:
        return self.figures[name]


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """R's survival and cmprsk on their own tables. Tests that use it are marked with needs_program("Rscript")."""
    folder = tmp_path_factory.mktemp("r")
    subprocess.run([shutil.which("Rscript") or "Rscript", str(SCRIPT), str(folder)], check=True, capture_output=True, text=True)
    lines = (folder / "figures.txt").read_text().splitlines()
    return Oracle(folder, {line.split()[0]: np.array(line.split()[1:], dtype=float) for line in lines})
