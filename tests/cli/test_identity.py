"""What of a patient's identity leaves with a folder of results: nothing but what the DICOM files carry, unless it is asked for."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import shutil
import zlib

import pydicom
import pytest

import rt4d
from rt4d import cli
from rt4d.rois import Roi
from tests.cli.conftest import PHASES, QUICK

NAME, IDENT = "Quxbarro^Zephyrine", "MRN7391846"
PLANTED = {
    "PatientName": NAME,
    "PatientID": IDENT,
    "OtherPatientIDs": "SSN-55-8231907",
    "PatientBirthDate": "19470311",
    "PatientAddress": "Ockergasse 77",
    "AccessionNumber": "ACC5538201",
    "InstitutionName": "Wolkenheimer Klinikum",
    "ReferringPhysicianName": "Drxylander^Ignaz",
    "OperatorsName": "Opvandersloot^Mia",
    "StationName": "SCANBUNKER9",
    "StudyID": "STU90417",
    "StudyDate": "19971104",
    "StudyDescription": "Quxbarro thorax planning",
    "ProtocolName": "Quxbarro protocol",
}
SECRETS = {part for text in PLANTED.values() for part in re.split(r"[\^ ]", text) if len(part) > 5} - {"thorax", "planning", "protocol"}
NAMES = {"Quxbarro", "Zephyrine", IDENT}


@pytest.fixture(scope="module")
def patient(written, case, tmp_path_factory):
    """A 4D-CT, a derived series and a structure set that say who the patient is wherever they can, in files and folders that say so too."""
    home = tmp_path_factory.mktemp("archive") / "Quxbarro_Zephyrine_MRN7391846"
    shutil.copytree(written / "4dct", home / "4dct")
    for number, path in enumerate(sorted((home / "4dct").rglob("*.dcm"))):
        _planted(path).save_as(path.with_name(f"Quxbarro_{number}.dcm"))
        path.unlink()
    copied = next((home / "4dct").rglob("Quxbarro_3.dcm"))
    shutil.copy(copied, home / "4dct" / "Quxbarro_copy.dcm")
    _add_average(home / "4dct")
    drawn = [Roi(f"GTV_T{label}", case.gtv(label), "GTV") for label in PHASES]
    for name, rois in (("RS.Quxbarro_three.dcm", drawn[1:]), ("RS.Quxbarro_all.dcm", drawn)):
        rt4d.write_rtstruct(home / "RS.dcm", on=case.ct.reference, rois=rois)
        _planted(home / "RS.dcm", anonymous_references=True).save_as(home / name)
    return home


def _planted(path, *, anonymous_references=False):
    dataset = pydicom.dcmread(path)
    for keyword, value in PLANTED.items():
        setattr(dataset, keyword, value)
    if dataset.Modality == "CT":
        dataset.SeriesDescription = f"{dataset.SeriesDescription} Quxbarro"
        dataset.ImageComments = f"{dataset.get('ImageComments', '')} Drxylander"
    if anonymous_references:
        for contour in dataset.ROIContourSequence:
            for item in contour.ContourSequence:
                del item.ContourImageSequence
        del dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    return dataset


def _add_average(folder):
    """A series that is left out of the phases, and told so."""
    uid = pydicom.uid.generate_uid()
    (folder / "derived").mkdir()
    for number, path in enumerate(sorted(folder.rglob("Quxbarro_[0-9].dcm"))):
        dataset = pydicom.dcmread(path)
        dataset.SeriesDescription, dataset.SeriesInstanceUID = "Average Quxbarro", uid
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        dataset.save_as(folder / "derived" / f"Quxbarro_average_{number}.dcm")


def _run(patient, gtv, out, *more):
    arguments = ["itv", patient / "4dct", "--gtv", patient / gtv, "--roi", "GTV_T*", "--recipe", QUICK, "--margin", "5", "--out", out]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.run([str(part) for part in [*arguments, *more]])
    assert code in (0, 1), said.getvalue()
    return said.getvalue()


@pytest.fixture(scope="module")
def result(patient, tmp_path_factory):
    out = tmp_path_factory.mktemp("result") / "out"
    return out, _run(patient, "RS.Quxbarro_three.dcm", out, "--projections")


@pytest.fixture(scope="module")
def named(patient, tmp_path_factory):
    """Drawn on every phase, so that nothing is registered."""
    out = tmp_path_factory.mktemp("named") / "out"
    _run(patient, "RS.Quxbarro_all.dcm", out, "--name-patient")
    return out


def told_by(folder):
    """By file that is no DICOM file: the secrets in it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".dcm"]
    return {str(path.relative_to(folder)): secrets for path in files if (secrets := found_in(path))}


def found_in(path):
    """The secrets in a file's name and in what it holds, plain, in UTF-16, in base64, and in whatever of it is packed."""
    layers = list(unpacked(path.read_bytes()))
    return {secret for secret in SECRETS if secret in str(path.name) or any(form in layer for layer in layers for form in forms(secret))}


def forms(secret):
    plain = [secret, secret.lower(), secret.upper()]
    if re.fullmatch(r"\d{8}", secret):
        plain += [f"{secret[:4]}-{secret[4:6]}-{secret[6:]}", f"{secret[6:]}.{secret[4:6]}.{secret[:4]}", f"{secret[:4]}/{secret[4:6]}/{secret[6:]}"]
    for text in plain:
        yield from (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"))
        for shift in range(3):  # base64 writes it in three ways, by where it begins; the characters at both ends hold more than it
            coded = base64.b64encode(b"\0" * shift + text.encode())
            yield coded[4 if shift else 0 : -4]


def unpacked(content):
    """The content, and all that lies packed in it: gzip and zlib streams, and base64 with what is packed in that."""
    yield content
    for match in re.finditer(rb"\x1f\x8b\x08", content):
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj(31).decompress(content[match.start() :])
    for match in re.finditer(rb"[A-Za-z0-9+/]{32,}={0,2}", content):
        coded = match.group()
        with contextlib.suppress(ValueError):
            plain = base64.b64decode(coded + b"=" * (-len(coded) % 4))
            yield plain
            with contextlib.suppress(zlib.error):
                yield zlib.decompress(plain)


def test_the_search_finds_what_is_hidden_in_every_way(tmp_path):
    """What the tests below search with, tried on what they are to find."""
    secret = b"Wolkenheimer"
    ways = {
        "plain": b"..wolkenheimer..",
        "wide": secret.decode().encode("utf-16-le"),
        "base64": b"x " + base64.b64encode(b"ab" + secret + b"c" * 30),
        "short": base64.b64encode(b"a" + secret),
        "packed": b"NRRD0004\n\n" + zlib.compress(secret * 3, 9, wbits=31),
        "in the page": base64.b64encode(zlib.compress(b"0" * 100 + secret + bytes(range(99)))),
        "iso": b"born 1947-03-11",
    }
    for name, content in ways.items():
        (tmp_path / name).write_bytes(content)
        assert found_in(tmp_path / name) == ({"19470311"} if name == "iso" else {"Wolkenheimer"}), name


def test_nothing_but_dicom_files_tells_who_the_patient_is(result):
    out, _ = result
    names = {path.name for path in out.rglob("*")}
    assert names >= {"report.html", "summary.json", "run.json", "itv.nii.gz", "scene.mrml", "ct.nrrd", "phases.seq.nrrd", "contours.seg.nrrd"}
    assert told_by(out) == {}
    names = [str(path.relative_to(out)) for path in out.rglob("*")]
    assert not [name for name in names for secret in SECRETS if secret.lower() in name.lower()]


def test_dicom_files_belong_to_the_patient_or_no_planning_system_would_take_them(result):
    out, _ = result
    for path in [out / "rtstruct.dcm", *(next(iter((out / name).iterdir())) for name in ("average", "mip", "minimum"))]:
        dataset = pydicom.dcmread(path)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID"):
            assert str(dataset[keyword].value) == PLANTED[keyword]


def test_the_log_tells_files_but_not_the_patient(result, patient):
    """Folders, files and series are told as they are called, or nobody would find them; who the patient is stands in the headers, and is not told."""
    _, said = result
    assert "'Average Quxbarro' (10 slices" in said
    for part in [str(patient), patient.name, "Average Quxbarro", *re.findall(r"Quxbarro_\w+\.dcm|RS\.Quxbarro_\w+\.dcm", said)]:
        said = said.replace(part, "")
    assert not [secret for secret in SECRETS if secret.lower() in said.lower()]


def test_names_stand_in_the_reports_head_where_they_are_asked_for_and_only_there(named):
    assert told_by(named) == {"report.html": NAMES}
    page = (named / "report.html").read_text()
    head = page[page.index("<h1>") : page.index('class="card verdict')]
    assert "Quxbarro, Zephyrine" in re.sub(r"<[^>]*>", "", head)
    assert IDENT in head
    for secret in NAMES:
        assert secret not in page.replace(head, "")
    assert "This page names the patient" in head
    assert "and no name" not in page


def test_without_the_option_the_report_says_that_it_holds_no_name(result):
    page = (result[0] / "report.html").read_text()
    assert "and no name, number, birth date or file name" in page
    assert "This page names the patient" not in page


def test_notes_tell_how_much_was_left_out_without_what_it_was_called(result):
    notes = json.loads((result[0] / "summary.json").read_text())["notes"]
    assert "Left out of the phases: 10 slices, average." in notes
    assert "1 files are copies of others and count once." in notes
    assert any(note.startswith("The structure set references no image that is here") for note in notes)
