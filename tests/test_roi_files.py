"""File names of ROIs: on every file system, each its own."""

from __future__ import annotations

import pytest

from rt4d.roi_files import free_stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("GTV 1/2", "GTV_1_2"),
        ("肺", "_"),
        ("CON", "_CON"),
        ("aux.left", "_aux.left"),
        ("Com1", "_Com1"),
        ("Control", "Control"),
        ("COM10", "COM10"),
        ("", "_"),
        (".", "_"),
        ("..", "__"),
        (".PTV_1.5.", "_PTV_1.5_"),
    ],
)
def test_a_stem_is_plain_and_neither_a_device_nor_hidden(name: str, stem: str) -> None:
    assert free_stem(name, set()) == stem


def test_each_name_has_a_stem_of_its_own_whatever_the_case() -> None:
    taken: set[str] = set()
    assert [free_stem(name, taken) for name in ("A", "a", "A_2", "nul", "_NUL")] == ["A", "a_2", "A_2_2", "_nul", "_NUL_2"]
