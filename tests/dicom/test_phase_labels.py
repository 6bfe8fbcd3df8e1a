from __future__ import annotations

import pytest

from rt4d.dicom.grouping import in_cycle_order
from rt4d.dicom.phase_labels import STRONG, WEAK, Told, _kind, agreed, told_by_text
from rt4d.errors import PhaseError


@pytest.mark.parametrize(
    ("text", "percent", "way"),
    [
        ("0.0%", 0, ""),
        ("30.0% ", 30, ""),
        ("Gated, 40.0%B", 40, ""),
        ("P4^P100^S300^I00003, Gated, 0.0%B", 0, ""),
        ("T=10%", 10, ""),
        ("Thorax 4D  3.0  B30f  T=10%", 10, ""),
        ("CT 50%", 50, ""),
        ("4DCT 12.5%", 12.5, ""),
        ("4DCT 12,5 %", 12.5, ""),
        ("70% Ex", 70, "Ex"),
        ("30%In", 30, "In"),
        ("Thorax 25 % Insp", 25, "In"),
        ("75% exhale 2mm", 75, "Ex"),
        ("Resp 0% In", 0, "In"),
        ("Ex 40%", 40, "Ex"),
        ("100% Ex", 100, "Ex"),
        ("Phase 20%", 20, ""),
        ("Gated, 40% Ex", 40, "Ex"),
        ("4D 50% B40f 120kV", 50, ""),
        ("T=20% ASIR 30%", 20, ""),
        ("100% FOV T=30%", 30, ""),
        ("40% iDose4", None, ""),
        ("40% ASIR", None, ""),
        ("40% ASIR 3mm", None, ""),
        ("50% AIDR 3D", 50, ""),
        ("AIDR 3D 50%", 50, ""),
        ("50% SAFIRE 3", 50, ""),
        ("0% ASIR 40%", 0, ""),
        ("T=0% ASIR 40", 0, ""),
        ("T=0%, FOV 50", 0, ""),
        ("T=40% ASIR", 40, ""),
        ("Thorax - 50%", 50, ""),
        ("CT-50%", 50, ""),
        ("4DCT_phase_50%", 50, ""),
        ("RESP_50%_2.0_I31f", 50, ""),
        ("90 percent", 90, ""),
    ],
)
def test_what_vendors_write_tells_the_phase(text, percent, way):
    expected = () if percent is None else ((percent, way, STRONG),)
    assert told_by_text(text) == expected


@pytest.mark.parametrize(("text", "percent"), [("Thorax 4D T00", 0), ("T90", 90), ("4D_T_50", 50), ("T100", 100), ("4D C1-T50", 50)])
def test_a_bare_t_tells_the_phase_weakly(text, percent):
    assert told_by_text(text) == ((percent, "", WEAK),)


@pytest.mark.parametrize(
    "text",
    [
        "", "B40f", "120kV", "kernel B40f", "I70f 3", "100% FOV", "FOV 100%", "AVE 0-100%", "0%-100%", "0 - 90 %", "ASiR-V 50%", "SAFIRE: 30%",
        "Thorax 3.0 B30f", "T1", "T2 SAG", "T100C", "150%", "CT THORAX W/O", "dose 80%", "T0 5mm", "0-100% AVE", "Average 20% to 80%",
        "-10%", "4D -10%", "T=-10%", "CT spine T10-T12", "T1-L5", "T10 - T12", "T11-12", "Th10-Th12", "T10/T12", "C5-T10", "T0-T90",
    ],
)  # fmt: skip
def test_false_friends_tell_no_phase(text):
    assert told_by_text(text) == ()


def test_a_text_that_means_two_phases_gives_both():
    assert told_by_text("10% 20%") == ((10, "", STRONG), (20, "", STRONG))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("AVE 0-100%", "average"), ("Ave-IP", "average"), ("4D AVG", "average"), ("AIP", "average"), ("50% MIP", "mip"), ("MIP 5mm", "mip"),
        ("MinIP", "minip"), ("Min IP", "minip"), ("untagged", "average"), ("CT_AVERAGE_4D", "average"), ("Mittelwert", "average"),
        ("maximum intensity", "mip"), ("minimum intensity projection", "minip"), ("Thorax 50%", ""), ("wave", ""), ("CHIP", ""),
        ("Thorax mid vent", ""), ("AvgIP", "average"), ("AveIP 100%", "average"), ("AV-IP", "average"), ("Mean IP", "average"),
        ("Average_IP", "average"), ("4DAVG", "average"), ("4DCTAve", "average"), ("4DMIP", "mip"), ("AVGCT", "average"), ("Avenue", ""),
        ("AV fistula", ""),
    ],
)  # fmt: skip
def test_reconstructions_over_several_phases_are_told(text, kind):
    assert _kind(("ORIGINAL", "PRIMARY", "AXIAL"), (text,)) == kind


@pytest.mark.parametrize(("word", "kind"), [("AVERAGE", "average"), ("MIP", "mip"), ("MIN_IP", "minip"), ("LOCALIZER", "localizer")])
def test_image_type_tells_reconstructions_too(word, kind):
    assert _kind(("DERIVED", "SECONDARY", word), ("50%",)) == kind


def test_sources_that_agree_are_one_and_a_way_is_added():
    told = agreed([Told(30, "", "A '30%'", STRONG), Told(30, "Ex", "B '30% Ex'", STRONG)], where="file")
    assert told is not None
    assert (told.percent, told.way) == (30, "Ex")
    assert agreed([], where="file") is None


def test_sources_that_contradict_each_other_are_named():
    with pytest.raises(PhaseError, match=r"contradicts itself about its phase \(a\.dcm\): found A '30%' and B '40%'"):
        agreed([Told(30, "", "A '30%'", STRONG), Told(40, "", "B '40%'", STRONG)], where="a.dcm")
    with pytest.raises(PhaseError, match="contradicts"):
        agreed([Told(30, "In", "A", STRONG), Told(30, "Ex", "B", STRONG)], where="a.dcm")


def test_bare_labels_that_contradict_each_other_tell_nothing():
    assert agreed([Told(10, "", "A 'T10'", WEAK), Told(20, "", "B 'T20'", WEAK)], where="a.dcm") is None
    with pytest.raises(PhaseError, match="contradicts"):
        agreed([Told(10, "", "A '10%'", STRONG), Told(20, "", "B 'T20'", WEAK)], where="a.dcm")


def test_phases_run_by_percent_or_from_the_highest_inhalation_out_and_in_again():
    assert in_cycle_order(["50", "00", "12p5", "90"]) == ["00", "12p5", "50", "90"]
    assert in_cycle_order(["00Ex", "75In", "100In", "25Ex", "75Ex", "25In"]) == ["100In", "75Ex", "25Ex", "00Ex", "25In", "75In"]
    assert in_cycle_order(["00", "100", "30In", "30Ex", "70In", "70Ex"]) == ["100", "70Ex", "30Ex", "00", "30In", "70In"]
