"""Short names: at most 16 characters, each its own, still to be recognised; and the names of TG-263."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt4d.dicom.roi_names import Naming, named, short_names, tg263_name
from rt4d.errors import InputError
from rt4d.target import UNVERIFIED

# TG-263: type, classifier, number, then ^ and a custom qualifier
TG263_TARGET = re.compile(r"(GTV|CTV|PTV|ITV|IGTV|ICTV|PTV!)(par|vas|sb|n|p|v)?\d{0,2}(\^\S+)?")


def test_names_of_16_characters_stay_and_longer_ones_lose_their_end() -> None:
    assert short_names(["ITV", "ITV_UNVERIFIED", "exactly16letters", "seventeen_letters"]) == [
        "ITV",
        "ITV_UNVERIFIED",
        "exactly16letters",
        "seventeen_letter",
    ]


def test_names_that_would_be_the_same_get_a_number() -> None:
    assert short_names(["Lung_left_upper_lobe", "Lung_left_upper_part", "LUNG_LEFT_UPPER_SIDE"]) == [
        "Lung_left_upper",
        "Lung_left_uppe~2",
        "LUNG_LEFT_UPPE~3",
    ]
    assert short_names(["Lung_left_upper_lobe", "Lung_left_upper"]) == ["Lung_left_uppe~2", "Lung_left_upper"], "a name that fits keeps it"
    assert short_names(["gtv", "GTV"]) == ["gtv", "GTV~2"], "planning systems do not tell case"


@pytest.mark.parametrize("name", ["PTV_5x5x8mm", "GTV1_T12p5", "ITV", "A name that is long anyhow"])
def test_the_warning_is_never_cut_off(name: str) -> None:
    (short,) = short_names([name + UNVERIFIED])
    assert short.endswith(UNVERIFIED)
    assert short.startswith(name[:3])


@pytest.mark.parametrize(
    ("naming", "names", "short"),
    [
        ("short", ["PTV_10mm_UNVERIFIED"], ["PTV_UNVERIFIED"]),
        ("short", ["PTV1_12p5x12p5x15mm", "PTV1_12p5x12p5x10mm"], ["PTV1", "PTV1~2"]),
        ("short", ["PTV_7p5mm_UNVERIFIED", "PTV_7mm_UNVERIFIED"], ["PTV_UNVERIFIED", "PTV~2_UNVERIFIED"]),
        ("short", ["Lung_left_upper_12", "Lung_left_upper 5 mm"], ["Lung_left_upper", "Lung_left_uppe~2"]),
        ("short", ["12345678901234567890"], ["1234567890123456"]),
        ("tg263", ["PTV1_12p5x12p5x15mm", "PTV_10mm_UNVERIFIED"], ["PTV1", "PTV^UNVERIFIED"]),
    ],
)
def test_a_number_or_a_margin_is_never_cut_into_another(naming: Naming, names: list[str], short: list[str]) -> None:
    assert named(names, naming) == short


@given(names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\\"), min_size=1, max_size=64), unique=True, max_size=40))
def test_short_names_are_short_and_each_its_own(names: list[str]) -> None:
    for naming in ("short", "tg263"):
        short = named(names, naming)
        assert all(1 <= len(name) <= 16 for name in short)
        assert len({name.casefold() for name in short}) == len(names)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("GTV", "GTV"),
        ("GTV_T50", "GTV^T50"),
        ("GTV2_T12p5", "GTV2^T12p5"),
        ("ITV", "IGTV"),
        ("ITV1_UNVERIFIED", "IGTV1^UNVERIFIED"),
        ("PTV_5mm", "PTV^5mm"),
    ],
)
def test_targets_are_named_after_tg263(ours: str, theirs: str) -> None:
    assert tg263_name(ours) == theirs
    assert TG263_TARGET.fullmatch(theirs)
    assert len(theirs) <= 16


def test_a_classifier_stands_between_type_and_number() -> None:
    assert tg263_name("ITV2", classifier="p") == "IGTVp2"
    assert tg263_name("GTV_T00", classifier="n") == "GTVn^T00"
    with pytest.raises(InputError, match="one of n, p, sb"):
        tg263_name("ITV", classifier="x")


def test_what_is_no_target_of_ours_keeps_its_name() -> None:
    assert [tg263_name(name) for name in ("Lung_L", "ITVs", "my GTV")] == ["Lung_L", "ITVs", "my GTV"]


def test_an_unknown_naming_is_refused() -> None:
    with pytest.raises(InputError, match=r"full, short, tg263.*found brief"):
        named(["GTV"], "brief")  # type: ignore[arg-type]
