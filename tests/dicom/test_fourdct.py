from __future__ import annotations

import shutil
import subprocess
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from rt4d.dicom.fourdct import read_4dct
from rt4d.errors import DicomError, GeometryError, InputError, NotFoundError, PhaseError
from tests.conftest import POSES, needs_program
from tests.dicom.make import GRID, ROOT, enhanced_of, placed, save, setting, write_4dct, write_series


def is_read(ct, phases):
    """Whether every phase holds the values that were written for its percentage."""
    return {phase.percent for phase in ct} == set(phases) and all(np.array_equal(phase.volume.hu, phases[phase.percent]) for phase in ct)


@pytest.mark.parametrize("text", ["{:.1f}%", "Gated, {:.1f}%B", "T={}%", "CT {}%", "P1^P100, Gated, {}%", "Thorax 4D T{:02d} 3mm"])
def test_phases_are_found_ordered_and_read_whole(tmp_path, text):
    phases = write_4dct(tmp_path, percents=(80, 0, 50, 20), text=text)
    ct = read_4dct(tmp_path)
    assert ct.labels == ("00", "20", "50", "80")
    assert (ct.reference_label, ct.told_by) == ("50", "SeriesDescription")
    assert is_read(ct, phases)
    assert ct.geometry.differences(GRID) == ""
    assert ct.reference.identity.series_uid == f"{ROOT}.1.3"
    assert ct.reference.identity.sop_instance_uids[0] == f"{ROOT}.1.3.1"


@pytest.mark.parametrize("pose", POSES)
def test_every_patient_position_stacks_right(tmp_path, pose):
    grid = replace(GRID, direction=POSES[pose])
    phases = write_4dct(tmp_path, grid=grid)
    ct = read_4dct(tmp_path)
    assert ct.geometry.differences(grid) == ""
    assert is_read(ct, phases)


def elscint(ds, percent):
    for group, elements in ((0x01E1, (0x1E,)), (0x01F1, (0x41,))):
        block = ds.private_block(group, "ELSCINT1", create=True)
        for element in elements:
            block.add_new(element, "LO", f"{percent}.0%")


@pytest.mark.parametrize(
    ("told_by", "tell"),
    [
        ("ImageComments", lambda ds, percent: setattr(ds, "ImageComments", f"{percent}%")),
        ("private (01e1,101e)", elscint),
        ("NominalPercentageOfRespiratoryPhase", lambda ds, percent: setattr(ds, "NominalPercentageOfRespiratoryPhase", float(percent))),
        ("NominalPercentageOfRespiratoryPhase", lambda ds, percent: ds.add_new(0x00209245, "DS", f"{percent:.1f}")),
    ],
)
@pytest.mark.parametrize("one_series", [False, True])
def test_each_source_alone_tells_the_phases_also_where_they_share_one_series(tmp_path, told_by, tell, one_series):
    def change(percent):
        def do(ds, z):
            tell(ds, percent)
            if one_series:
                ds.SeriesInstanceUID = f"{ROOT}.7"

        return do

    phases = write_4dct(tmp_path, text="Thorax 4D", changes={percent: change(percent) for percent in (0, 20, 50, 80)})
    ct = read_4dct(tmp_path)
    assert (ct.labels, ct.told_by) == (("00", "20", "50", "80"), told_by)
    assert is_read(ct, phases)


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("one_series", [False, True])
def test_temporal_positions_alone_are_taken_as_evenly_spread_and_that_is_noted(tmp_path, counted, start, one_series):
    changes = {}
    for number, percent in enumerate((0, 25, 50, 75)):
        more = ({"NumberOfTemporalPositions": 4} if counted else {}) | ({"SeriesInstanceUID": f"{ROOT}.7"} if one_series else {})
        changes[percent] = setting(TemporalPositionIdentifier=number + start, **more)
    phases = write_4dct(tmp_path, percents=(0, 25, 50, 75), text="Thorax", changes=changes)
    ct = read_4dct(tmp_path)
    assert ct.labels == ("00", "25", "50", "75")
    assert ct.told_by == "TemporalPositionIdentifier"
    assert "evenly spread" in ct.notes[0]
    assert is_read(ct, phases)


def test_an_average_among_series_of_temporal_positions_is_no_phase(tmp_path):
    changes = {percent: setting(TemporalPositionIdentifier=n) for n, percent in enumerate((0, 25, 50, 75), start=1)}
    phases = write_4dct(tmp_path, percents=(0, 25, 50, 75), text="4D thorax", changes=changes)
    write_series(tmp_path / "average", description="AvgIP", series="60", change=setting(TemporalPositionIdentifier=5))
    assert is_read(read_4dct(tmp_path), phases)


def test_temporal_positions_beyond_their_number_are_refused(tmp_path):
    changes = {p: setting(TemporalPositionIdentifier=n + 1, NumberOfTemporalPositions=3) for n, p in enumerate((0, 20, 50, 80))}
    write_4dct(tmp_path, text="Thorax", changes=changes)
    with pytest.raises(PhaseError, match=r"do not fit their number.*expected 1 … 3, found 1, 2, 3, 4"):
        read_4dct(tmp_path)


@pytest.mark.parametrize("by_index", [False, True])
def test_an_enhanced_multiframe_file_holds_all_phases(tmp_path, by_index):
    ds, phases = enhanced_of(GRID, (0, 25, 50, 75))
    for group in ds.PerFrameFunctionalGroupsSequence if by_index else ():
        del group.RespiratorySynchronizationSequence
    save(ds, tmp_path / "4d")
    ct = read_4dct(tmp_path)
    assert ct.told_by == ("TemporalPositionIdentifier" if by_index else "NominalPercentageOfRespiratoryPhase")
    assert is_read(ct, phases)
    assert ct["25"].identity.frame_numbers == (18, 14, 10, 6, 2)


def test_an_enhanced_file_in_big_endian_tells_its_phases_all_the_same(tmp_path):
    ds, phases = enhanced_of(GRID)
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    save(ds, tmp_path / "4d")
    assert is_read(read_4dct(tmp_path), phases)


@pytest.mark.parametrize("compress", [(), ("dcmcrle",), ("dcmcjpeg", "+e1"), ("dcmcjpls",)])
@needs_program("dcmcjpls")
def test_an_enhanced_file_is_read_in_implicit_vr_and_compressed(tmp_path, compress):
    ds, phases = enhanced_of(GRID)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if compress else ImplicitVRLittleEndian
    path = str(save(ds, tmp_path / "4d"))
    if compress:
        subprocess.run([*compress, path, path], check=True)
    assert is_read(read_4dct(tmp_path), phases)


def test_both_ways_of_breathing_are_kept_apart_and_ordered_by_the_cycle(tmp_path):
    for n, text in enumerate(["0% Ex", "30% In", "70% Ex", "100% In", "30% Ex", "70% In"]):
        write_series(tmp_path / str(n), description=text, series=str(n + 1), seed=n)
    with pytest.raises(NotFoundError, match=r"no phase to be the reference: expected one of 100In, 70Ex, 30Ex, 00Ex, 30In, 70In"):
        read_4dct(tmp_path)
    with pytest.raises(NotFoundError, match=r"More than one phase could be the reference: expected one of 30Ex, 30In, found 30"):
        read_4dct(tmp_path, reference=30)
    ct = read_4dct(tmp_path, reference="30In")
    assert ct.labels == ("100In", "70Ex", "30Ex", "00Ex", "30In", "70In")
    assert ct.reference.identity.series_uid == f"{ROOT}.1.2"
    assert read_4dct(tmp_path, reference=0).reference_label == "00Ex"


def test_a_way_of_breathing_that_does_not_tell_phases_apart_is_no_part_of_the_label(tmp_path):
    write_4dct(tmp_path, text="{}% Ex")
    assert read_4dct(tmp_path).labels == ("00", "20", "50", "80")


@pytest.mark.parametrize(
    ("asked", "label"), [("20", "20"), (20, "20"), (20.0, "20"), ("20%", "20"), ("12p5", "12p5"), (12.5, "12p5"), ("12,5 %", "12p5")]
)
def test_the_reference_is_a_label_or_a_percentage(tmp_path, asked, label):
    write_4dct(tmp_path, percents=(12.5, 20), text="{}%")
    assert read_4dct(tmp_path, reference=asked).reference_label == label


@pytest.mark.parametrize("asked", [None, 50, "50", "In", "", float("nan")])
def test_a_reference_that_is_not_there_is_refused_and_the_labels_listed(tmp_path, asked):
    write_4dct(tmp_path, percents=(0, 20))
    with pytest.raises(NotFoundError, match="expected one of 00, 20"):
        read_4dct(tmp_path, reference=asked)


def test_averages_projections_scouts_and_other_series_are_left_out_and_noted(tmp_path):
    phases = write_4dct(tmp_path)
    for n, text in enumerate(["AVE 0-100%", "50% MIP", "MinIP", "untagged", "Planning CT"]):
        write_series(tmp_path / f"other{n}", description=text, series=str(90 + n))
    write_series(tmp_path / "typed", description="50%", series="80", change=setting(ImageType=["DERIVED", "SECONDARY", "AVERAGE"]))
    scout = setting(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(tmp_path / "scout", description="0%", series="81", grid=replace(GRID, size=(3, 3, 1)), change=scout)
    write_series(tmp_path / "rs", series="82", change=setting(Modality="RTSTRUCT", SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3"))
    ct = read_4dct(tmp_path)
    assert is_read(ct, phases)
    said = " ".join(ct.notes)
    for text in ("'AVE 0-100%' (5 slices, other0/slice000.dcm", "'50% MIP'", "'Planning CT'"):
        assert text in said
    for kind in ("mip", "minip", "average", "localizer", "no phase told"):
        assert f", {kind}." in said


@pytest.mark.parametrize("text", ["CT spine T10-T12", "T10 and T12", "4D -10%"])
def test_a_ct_whose_text_only_looks_like_phases_is_left_out_beside_a_4dct(tmp_path, text):
    phases = write_4dct(tmp_path, percents=(0, 20, 50, 80))
    write_series(tmp_path / "planning", description=text, series="90")
    ct = read_4dct(tmp_path)
    assert is_read(ct, phases)
    assert any(text in note and "no phase told" in note for note in ct.notes)


def test_phases_beside_the_name_of_a_reconstruction_are_read(tmp_path):
    phases = write_4dct(tmp_path, text="{}% AIDR 3D")
    assert is_read(read_4dct(tmp_path), phases)


def test_an_average_within_the_series_that_the_phases_share_is_left_out(tmp_path):
    def tell(text):
        return setting(SeriesInstanceUID=f"{ROOT}.7", ImageComments=text)

    phases = write_4dct(tmp_path / "a", text="", changes={p: tell(f"{p}%") for p in (0, 20, 50, 80)})
    write_series(tmp_path / "b", series="50", change=tell("Average"))
    assert is_read(read_4dct(tmp_path), phases)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(20)), workers=st.integers(1, 4))
def test_how_files_are_named_and_ordered_changes_nothing(tmp_path_factory, order, workers):
    source = tmp_path_factory.mktemp("source")
    phases = write_4dct(source)
    mixed = tmp_path_factory.mktemp("mixed")
    for number, path in zip(order, sorted(source.rglob("*.dcm")), strict=True):
        place = mixed / f"d{number % 3}"
        place.mkdir(exist_ok=True)
        shutil.copy(path, place / f"{number}")
    ct, straight = read_4dct(mixed, workers=workers), read_4dct(source)
    assert is_read(ct, phases)
    assert [phase.identity for phase in ct] == [phase.identity for phase in straight]
    assert (ct.labels, ct.geometry, ct.notes) == (straight.labels, straight.geometry, straight.notes)


def test_names_of_files_and_folders_are_not_believed(tmp_path):
    write_4dct(tmp_path, text="Thorax")
    for n, percent in enumerate((0, 20, 50, 80)):
        (tmp_path / f"p{n}").rename(tmp_path / f"{percent}%")
    with pytest.raises(PhaseError, match="No CT in the folder says which phase it is"):
        read_4dct(tmp_path)


def test_copies_count_once_and_are_noted(tmp_path):
    phases = write_4dct(tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "p1", tmp_path / "b")
    ct = read_4dct(tmp_path)
    assert is_read(ct, phases)
    assert any(note.startswith("5 files are copies of others") for note in ct.notes)


def test_contradicting_sources_are_refused_and_both_named(tmp_path):
    write_4dct(tmp_path, changes={20: setting(2, ImageComments="30%")})
    with pytest.raises(PhaseError, match=r"\(p1/slice002\.dcm\): found SeriesDescription '20\.0%' and ImageComments '30%'"):
        read_4dct(tmp_path)


def test_a_text_with_two_percentages_is_refused(tmp_path):
    write_4dct(tmp_path, changes={20: setting(SeriesDescription="20% 30%")})
    with pytest.raises(PhaseError, match="contradicts itself"):
        read_4dct(tmp_path)


def test_a_nominal_percentage_against_the_description_is_refused(tmp_path):
    write_4dct(tmp_path, changes={50: setting(NominalPercentageOfRespiratoryPhase=60.0)})
    with pytest.raises(PhaseError, match=r"NominalPercentageOfRespiratoryPhase 60 and SeriesDescription '50\.0%'"):
        read_4dct(tmp_path)


@pytest.mark.parametrize(
    ("numbers", "fine"), [((1, 2, 3, 4), True), ((3, 4, 1, 2), True), ((1, 1, 1, 1), True), ((2, 1, 3, 4), False), ((4, 3, 2, 1), False)]
)
def test_temporal_positions_must_run_as_the_percentages_do(tmp_path, numbers, fine):
    write_4dct(tmp_path, changes={p: setting(TemporalPositionIdentifier=n) for p, n in zip((0, 20, 50, 80), numbers, strict=True)})
    if fine:
        assert read_4dct(tmp_path).told_by == "SeriesDescription"
        return
    with pytest.raises(PhaseError, match=r"contradict each other \(p\d/slice000\.dcm\)"):
        read_4dct(tmp_path)


def test_a_slice_of_another_temporal_position_is_refused(tmp_path):
    changes = {p: setting(TemporalPositionIdentifier=n + 1) for n, p in enumerate((0, 20, 50))}
    write_4dct(tmp_path, changes=changes | {80: lambda ds, z: setattr(ds, "TemporalPositionIdentifier", 4 if z else 3)})
    with pytest.raises(PhaseError, match=r"contradict each other \(p3/slice000\.dcm\): found phase 80 with .* 3, others of it with 4"):
        read_4dct(tmp_path)


def test_two_4dcts_in_one_folder_are_refused(tmp_path):
    write_4dct(tmp_path / "a")
    write_4dct(tmp_path / "b", first_series=11)
    files = r"\(a/p0/slice000\.dcm and b/p0/slice000\.dcm\)"
    with pytest.raises(PhaseError, match=rf"two 4D-CTs.*phase 00.*{files}: found series {ROOT}\.1\.1 and {ROOT}\.1\.11"):
        read_4dct(tmp_path)


def test_two_4dcts_labelled_in_two_ways_are_refused_too(tmp_path):
    write_4dct(tmp_path / "a")
    write_4dct(tmp_path / "b", first_series=11, text="T{:02d}")
    with pytest.raises(PhaseError, match="two 4D-CTs"):
        read_4dct(tmp_path)


def test_phases_of_two_studies_are_refused(tmp_path):
    write_4dct(tmp_path / "a", percents=(0, 20))
    write_4dct(tmp_path / "b", percents=(50, 80), study="2")
    with pytest.raises(PhaseError, match=rf"of different studies.*{ROOT}\.1 and {ROOT}\.2"):
        read_4dct(tmp_path)


def test_phases_in_different_frames_of_reference_are_refused(tmp_path):
    write_4dct(tmp_path, changes={50: setting(FrameOfReferenceUID="1.9")})
    with pytest.raises(PhaseError, match=r"Phases 00 and 50 lie in different frames of reference \(p0/slice000\.dcm and p2/slice000\.dcm\)"):
        read_4dct(tmp_path)


def test_phases_in_different_patient_positions_are_refused(tmp_path):
    write_4dct(tmp_path, changes={50: setting(PatientPosition="FFS")})
    with pytest.raises(PhaseError, match=r"Phases 00 and 50 .*positions \(p0/slice000\.dcm and p2/slice000\.dcm\): expected HFS, found FFS"):
        read_4dct(tmp_path)


def test_a_phase_that_names_no_patient_position_is_read_with_the_others(tmp_path):
    write_4dct(tmp_path, changes={50: setting(PatientPosition="")})
    assert len(read_4dct(tmp_path)) == 4


def test_two_patients_are_refused_without_naming_them(tmp_path):
    write_4dct(tmp_path, changes={50: setting(PatientID="OTHER")})
    message = r"two patients lie in one folder \(p0/slice000\.dcm and p2/slice000\.dcm\): found different PatientID"
    with pytest.raises(DicomError, match=message) as refused:
        read_4dct(tmp_path)
    assert not any(secret in str(refused.value) for secret in ("SECRET", "OTHER"))


def test_no_patient_id_is_no_other_patient(tmp_path):
    write_4dct(tmp_path, changes={50: setting(PatientID=None, PatientName="")})
    assert len(read_4dct(tmp_path)) == 4


def test_a_missing_slice_is_named_with_its_position_and_neighbours(tmp_path):
    write_4dct(tmp_path, changes={50: lambda ds, z: z == 2})
    with pytest.raises(
        GeometryError,
        match=r"A slice is missing in phase 50 \(between p2/slice001\.dcm and p2/slice003\.dcm\): "
        r"expected a slice at -20\.00, 30\.00, -94\.00 mm \(slices lie 3\.00 mm apart\), found a gap of 6\.00 mm",
    ):
        read_4dct(tmp_path)


@pytest.mark.parametrize("end", [0, 4])
def test_a_missing_slice_at_an_end_is_named(tmp_path, end):
    write_4dct(tmp_path, changes={50: lambda ds, z: z == end})
    with pytest.raises(GeometryError, match=rf"Phase 50 lies on another grid than phase 00.*it lacks the slices of p0/slice00{end}\.dcm"):
        read_4dct(tmp_path)


def test_uneven_slices_of_a_phase_are_refused(tmp_path):
    write_4dct(tmp_path, changes={50: placed(lambda z: [0, 0, 7.0], 2)})
    with pytest.raises(GeometryError, match=r"slices of phase 50 lie at uneven distances \(between p2/slice00\d\.dcm"):
        read_4dct(tmp_path)


def test_two_slices_at_one_position_are_named(tmp_path):
    write_4dct(tmp_path, changes={50: placed(lambda z: [0, 0, 3], 2)})
    with pytest.raises(GeometryError, match=r"Two slices of phase 50 lie at one position \(p2/slice001\.dcm and p2/slice002\.dcm\)"):
        read_4dct(tmp_path)


@pytest.mark.parametrize(
    "grid",
    [
        replace(GRID, size=(8, 6, 6)),
        replace(GRID, size=(9, 6, 5)),
        replace(GRID, spacing_mm=(1, 1.5, 2.5)),
        replace(GRID, origin_mm=(-20, 30.1, -100)),
    ],
)
def test_a_phase_on_another_grid_is_refused(tmp_path, grid):
    write_4dct(tmp_path, percents=(0, 50, 80))
    write_series(tmp_path / "odd", description="20%", grid=grid, series="9")
    with pytest.raises(GeometryError, match=r"Phase 20 lies on another grid than phase 00 \(odd/slice000\.dcm"):
        read_4dct(tmp_path)


def test_a_tilted_gantry_is_refused(tmp_path):
    write_4dct(tmp_path, changes={p: placed(lambda z: [0, z, 3 * z]) for p in (0, 20, 50, 80)})
    with pytest.raises(GeometryError, match="Phase 00 was taken with a tilted gantry"):
        read_4dct(tmp_path)


def test_slices_of_a_shared_series_without_a_phase_are_refused(tmp_path):
    write_4dct(tmp_path, text="", changes={p: setting(SeriesInstanceUID=f"{ROOT}.7", ImageComments=f"{p}%") for p in (0, 20, 50)})
    path = tmp_path / "p3" / "slice001.dcm"
    ds = dcmread(path)
    ds.SeriesInstanceUID = f"{ROOT}.7"
    save(ds, path)
    with pytest.raises(PhaseError, match=r"do not say which phase they are.*\(p3/slice001\.dcm\)"):
        read_4dct(tmp_path)


def test_one_phase_only_no_phase_no_ct_and_nothing_are_refused_each_with_what_to_do(tmp_path):
    with pytest.raises(NotFoundError, match="The folder is empty"):
        read_4dct(tmp_path)
    (tmp_path / "notes.txt").write_text("see 50%")
    with pytest.raises(NotFoundError, match="There is no CT in the folder"):
        read_4dct(tmp_path)
    write_series(tmp_path / "a", description="50%")
    with pytest.raises(PhaseError, match=r"only one phase.*found 50 alone \('50%' \(5 slices.*read_ct"):
        read_4dct(tmp_path)
    write_series(tmp_path / "a", description="Thorax")
    with pytest.raises(PhaseError, match=r"No CT in the folder says which phase it is.*'Thorax' \(5 slices"):
        read_4dct(tmp_path)


def test_counts_from_t00_to_t09_are_not_taken_for_percentages(tmp_path):
    write_4dct(tmp_path, percents=range(4), text="T{:02d}")
    with pytest.raises(PhaseError, match="No CT in the folder says which phase"):
        read_4dct(tmp_path)


@pytest.mark.parametrize("keep", [0, 131, 400, -2])
def test_a_file_that_is_cut_off_is_named(tmp_path, keep):
    write_4dct(tmp_path)
    path = tmp_path / "p1" / "slice003.dcm"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"p1/slice003\.dcm"):
        read_4dct(tmp_path)


def test_a_file_that_vanishes_while_reading_is_named(tmp_path):
    write_4dct(tmp_path)

    def remove(stage, done, total):
        (tmp_path / "p1" / "slice003.dcm").unlink(missing_ok=True)

    with pytest.raises(InputError, match=r"p1/slice003\.dcm"):
        read_4dct(tmp_path, progress=lambda stage, done, total: remove(stage, done, total) if done == total == 20 else None)


def test_an_interrupted_run_stops_at_once_and_leaves_no_thread(tmp_path):
    write_4dct(tmp_path)
    before = threading.active_count()

    def interrupt(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_4dct(tmp_path, progress=interrupt)
    assert threading.active_count() == before


@pytest.mark.slow
def test_reading_holds_little_more_than_the_values(tmp_path):
    grid = replace(GRID, size=(256, 256, 20))
    write_4dct(tmp_path, percents=(0, 50), grid=grid)
    tracemalloc.start()
    read_4dct(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 256 * 256 * 20 * 2 + 4e6


def test_a_real_gated_lung_4dct(real_data):
    ct = read_4dct(real_data / "4dct_philips")
    assert ct.labels == tuple(f"{p:02d}" for p in range(0, 100, 10))
    assert (ct.geometry.size, ct.geometry.spacing_mm, ct.geometry.origin_mm) == ((100, 100, 47), (5, 5, 6), (-250, -164, -160.5))
    assert (ct.reference_label, ct.told_by, ct.notes) == ("50", "SeriesDescription", ())
    assert ct.reference.identity.patient_position == "HFS"
    x, y, z = np.rint(ct.geometry.to_index([-86, 77, -2])).astype(int)
    assert ct.reference.volume.hu[z, y, x] > -200  # the lesion
    for phase in ct:
        oracle = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(real_data / "4dct_philips" / phase.label)))
        assert np.array_equal(phase.volume.hu, sitk.GetArrayViewFromImage(oracle))
