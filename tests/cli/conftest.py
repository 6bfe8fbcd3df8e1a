"""One small generated 4D-CT on disk, with its contours, for all tests of the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rt4d import cli
from rt4d.phantom import Phantom, make_4dct

Compare = Callable[..., tuple[int, str, str]]
PHASES = ("00", "25", "50", "75")
QUICK = Path(__file__).parent.parent / "recipes" / "quick"
"""A recipe of one's own, as a clinic may have: few iterations."""


@pytest.fixture(scope="session")
def case() -> Phantom:
    """Four phases of a coarse thorax: quick, not accurate."""
    return make_4dct(size=(80, 60, 40), spacing_mm=(4.5, 4.5, 6.0), phases=PHASES, amplitude_mm=(0.0, 2.0, 12.0))


@pytest.fixture(scope="session")
def written(case: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that case: 4dct, gtv.dcm, truth. Not to be changed."""
    return case.write(tmp_path_factory.mktemp("phantom") / "case")


@pytest.fixture
def patient(written: Path, tmp_path: Path) -> Path:
    """A copy of the 4D-CT to break."""
    return Path(shutil.copytree(written / "4dct", tmp_path / "4dct"))


@pytest.fixture
def compare(capsys: pytest.CaptureFixture[str]) -> Compare:
    """Call the verb: its exit code, stdout and stderr."""

    def call(*given: object) -> tuple[int, str, str]:
        code = cli.run(["compare", *map(str, given)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
