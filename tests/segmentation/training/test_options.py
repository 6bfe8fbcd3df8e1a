"""What a training may be asked to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rt4d.errors import InputError
from rt4d.segmentation.bundle import PATCH
from rt4d.segmentation.training.options import Options
from tests.segmentation.training.make import TINY


@pytest.mark.parametrize("patch", [8, 272])
def test_a_patch_that_no_bundle_may_have_is_refused(patch: int) -> None:
    with pytest.raises(InputError, match=r"The patch does not fit.*16.*256"):
        replace(TINY, patch=patch)


def test_the_largest_and_the_smallest_patch_of_a_bundle_can_be_trained() -> None:
    for patch in PATCH:
        assert replace(TINY, patch=patch).patch == patch


@pytest.mark.parametrize("filters", [(0, 0, 0), (4, 4, 0), (-1, 4, 4)])
def test_a_level_without_filters_is_refused(filters: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="filters"):
        replace(TINY, filters=filters)


@pytest.mark.parametrize("told", [{"minutes": float("inf")}, {"rate": float("inf")}, {"minutes": float("nan")}])
def test_a_budget_or_rate_without_end_is_refused(told: dict[str, float]) -> None:
    with pytest.raises(InputError, match="out of range"):
        Options(**told)  # type: ignore[arg-type]
