"""Stand-ins for a bundle's networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rt4d.segmentation import inference


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let these stand for the networks of every bundle."""

    def stand_in(*networks: inference.Member) -> None:
        monkeypatch.setattr(inference, "members_of", lambda _: iter(networks))

    return stand_in
