"""The script that the API is designed around runs as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rt4d
from rt4d.agreement import dice
from rt4d.phantom import make_4dct


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """patient/ and RS.dcm as in the script, and the truth."""
    made = make_4dct(size=(80, 60, 40), spacing_mm=(4.5, 4.5, 6.0), phases=4, amplitude_mm=(0.0, 2.0, 12.0))
    folder = made.write(tmp_path_factory.mktemp("script") / "case")
    (folder / "4dct").rename(folder / "patient")
    shutil.copy(folder / "gtv.dcm", folder / "RS.dcm")
    ct = rt4d.read_4dct(folder / "patient")
    rt4d.write_rtstruct(folder / "physician.dcm", on=ct.reference, rois=[rt4d.Roi("ITV", made.itv, "ITV")])
    return made, folder


def readme_script() -> str:
    """All of the README's Python, in one go: the script, then the formats."""
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf8")
    first, second = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return first + second


@pytest.mark.slow
def test_the_readmes_script_runs_as_it_stands_without_a_main_guard(case):
    made, folder = case
    (folder / "plan.py").write_text(readme_script() + "print(ct, motion, itv, sep='\\n')\n", encoding="utf8")
    run = subprocess.run([sys.executable, "plan.py"], cwd=folder, capture_output=True, text=True, check=False, env=os.environ)
    assert run.returncode == 0, run.stderr
    assert "FourDCT(4 phases: 00 25 [50] 75; 80×60×40, 4.5×4.5×6 mm; HFS)" in run.stdout
    assert "ITV(" in run.stdout
    ct = rt4d.read_4dct(folder / "patient")
    written = rt4d.read_rtstruct(folder / "RS_itv.dcm", on=ct.reference)
    assert set(written) == {"GTV_T00", "GTV_T25", "GTV_T50", "GTV_T75", "ITV"}
    assert dice(written["ITV"], made.itv) > 0.9
    assert "GTV" in rt4d.read_rtstruct(folder / "RS_new.dcm", on=ct.reference)
    assert {path.name for path in folder.iterdir()} >= {"SEG.dcm", "REG.dcm", "u_00.nii.gz"}


@pytest.mark.slow
def test_phases_drawn_by_a_physician_are_taken_as_drawn(case):
    made, _ = case
    motion = rt4d.track(made.ct, focus=made.reference_gtv)
    drawn = {"00": made.gtv("00")}
    masks = motion.carry(made.reference_gtv, drawn=drawn)
    assert np.array_equal(masks["00"].inside, made.gtv("00").inside)
    target = rt4d.itv(masks)
    assert target.drawn == {"00"}
    description = {roi.name: roi.description for roi in target.rois}
    assert "drawn" in description["GTV_T00"]
    assert "carried from phase 50" in description["GTV_T25"]


def test_public_names_are_all_there():
    for name in rt4d.__all__:
        assert getattr(rt4d, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        rt4d.nothing
