from __future__ import annotations

from dataclasses import replace

import pytest

from rt4d.phases import FourDCT, SeriesIdentity
from rt4d.report.identity import patient_named
from tests.report.make import made_result, page_of


def identity(**patient):
    return SeriesIdentity("1.2", "1.3", "1.4", ("1.5",), patient=patient)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Smithers^Jane", "Smithers, Jane"),
        ("Smithers^Jane^Ann^Dr.^MD", "Smithers, Jane Ann Dr. MD"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou / 山田, 太郎 / やまだ, たろう"),
        ("Smithers Jane", "Smithers Jane"),
        ("^Jane", "Jane"),
        ("^^^^", "no name in the CT"),
    ],
)
def test_a_name_is_read_as_a_person_writes_it(written, read):
    assert patient_named(identity(PatientName=written, PatientID="4711")).name == read


def test_what_the_ct_does_not_say_is_told_so():
    nobody = patient_named(identity())
    assert (nobody.name, nobody.ident) == ("no name in the CT", "none in the CT")
    assert "Smithers" not in repr(patient_named(identity(PatientName="Smithers", PatientID="1")))


def test_a_patient_who_is_called_like_a_script_is_text(tmp_path):
    made = made_result()
    odd = identity(PatientName="<script>alert(1)</script>", PatientID='"><b>')
    ct = FourDCT(tuple(replace(phase, identity=odd) for phase in made.ct), "50")
    page = page_of(tmp_path, replace(made, ct=ct, request=replace(made.request, name_patient=True))).read_text()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert '"><b>' not in page
