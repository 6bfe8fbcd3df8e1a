"""One generated chest for all tests of the synthesis: making it takes seconds."""

from __future__ import annotations

import pytest

from rt4d.segmentation.synthesis import Host, generated_host


@pytest.fixture(scope="session")
def host() -> Host:
    return generated_host(5)
