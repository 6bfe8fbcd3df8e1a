"""What all tests share: where real data lies, which programs are here, grids in odd poses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from rt4d.geometry import Geometry


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("RT4D_SLOW") == "1":
        return
    skip = pytest.mark.skip(reason="slow: set RT4D_SLOW=1 to run it")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, named by RT4D_TEST_DATA; a test that needs it skips where it is not set."""
    folder = os.environ.get("RT4D_TEST_DATA")
    if not folder:
        pytest.skip("RT4D_TEST_DATA is not set: no real data here")
    if not Path(folder).is_dir():
        pytest.fail(f"RT4D_TEST_DATA names {folder}, which is not a folder")
    return Path(folder)


def needs_program(name: str) -> pytest.MarkDecorator:
    """Skip where an outside program is not installed; in CI it must be there."""
    missing = shutil.which(name) is None and not os.environ.get("CI")
    return pytest.mark.skipif(missing, reason=f"{name} is not installed (Debian package)")


def rotation(x_deg: float, y_deg: float, z_deg: float) -> tuple[float, ...]:
    """A direction, row by row, turned about the three axes."""
    x, y, z = np.radians([x_deg, y_deg, z_deg])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return tuple((about_z @ about_y @ about_x).ravel())


POSES = {
    "HFS": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    "HFP": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    "FFS": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "FFP": (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0),
    "oblique": rotation(10, -15, 20),
}


@pytest.fixture(params=list(POSES))
def posed_geometry(request: pytest.FixtureRequest) -> Geometry:
    """An anisotropic grid in each patient position and oblique."""
    return Geometry((12, 10, 8), (1.0, 1.5, 3.0), (-20.0, 30.0, -100.0), POSES[request.param], "1.2.3")
