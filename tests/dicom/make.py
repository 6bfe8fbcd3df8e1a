"""Small DICOM series made for tests, with knobs to break them: written with pydicom alone, so that they owe nothing to rt4d's reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from rt4d.geometry import Geometry

GRID = Geometry((8, 6, 5), (1.0, 1.5, 3.0), (-20.0, 30.0, -100.0), frame_of_reference="1.2.826.0.1.3")
ROOT = "1.2.826.0.1.3680043.10.999"
Change = Callable[[Dataset, int], object]


def hu_of(grid: Geometry = GRID, seed: int = 0) -> np.ndarray:
    """Values that tell every voxel of every seed from its neighbours, int16, shape z y x."""
    return np.random.default_rng(seed).integers(-1000, 2000, grid.shape, dtype=np.int16)


def dataset_of(grid: Geometry, z: int, hu: np.ndarray, *, series: str = "1", study: str = "1") -> Dataset:
    """One ordinary CT image: slice z of the grid, stored unsigned with intercept −1024."""
    ds = common(grid, series=series, study=study)
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = f"{ROOT}.{study}.{series}.{z + 1}"
    ds.InstanceNumber = z + 1
    ds.ImagePositionPatient = decimals(grid.to_patient([0, 0, z]))
    ds.ImageOrientationPatient = decimals([*grid.matrix[:, 0], *grid.matrix[:, 1]])
    ds.PixelSpacing = decimals([grid.spacing_mm[1], grid.spacing_mm[0]])
    ds.SliceThickness = decimals([grid.spacing_mm[2]])[0]
    store(ds, hu[z])
    return ds


def common(grid: Geometry, *, series: str, study: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Modality = "CT"
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "SECRET-ID", "SECRET^NAME", "19500101", "O"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.{series}"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20200101", "120000", "S1", "A1"
    ds.FrameOfReferenceUID = grid.frame_of_reference
    ds.PatientPosition = "HFS"
    return ds


def store(ds: Dataset, hu: np.ndarray, *, slope: float = 1, intercept: float = -1024, dtype: type = np.uint16) -> None:
    """Put values into a dataset so that slope × stored + intercept gives them."""
    stored = np.rint((hu - intercept) / slope).astype(dtype)
    ds.Rows, ds.Columns = hu.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = stored.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(np.issubdtype(dtype, np.signedinteger))
    ds.RescaleSlope, ds.RescaleIntercept = decimals([slope, intercept])
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"


def decimals(values: Sequence[float] | np.ndarray) -> list[str]:
    """DICOM decimal strings of at most 16 characters."""
    return [f"{float(v) + 0.0:.9g}" for v in values]


def setting(z: int | None = None, **attributes: object) -> Change:
    """A change that sets attributes, None for their removal, of slice z or of all."""

    def change(ds: Dataset, at: int) -> None:
        for keyword, value in attributes.items() if z in (None, at) else ():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    return change


def without_sop_uid(z: int) -> Change:
    """A change that takes slice z its SOPInstanceUID, which stands in the head of its file alone then."""

    def change(ds: Dataset, at: int) -> None:
        if at == z:
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            del ds.SOPInstanceUID

    return change


def placed(position_of: Callable[[int], Sequence[float]], z: int | None = None) -> Change:
    """A change that moves slice z, or all, by what `position_of` gives for its number: patient coordinates in mm, from the grid's origin."""

    def change(ds: Dataset, at: int) -> None:
        if z in (None, at):
            ds.ImagePositionPatient = decimals(np.array(GRID.origin_mm) + position_of(at))

    return change


def write_series(
    folder: Path,
    *,
    description: str = "",
    grid: Geometry = GRID,
    seed: int = 0,
    series: str = "1",
    study: str = "1",
    change: Change | None = None,
) -> np.ndarray:
    """Write one CT series into a folder and return its Hounsfield units.

    change: called with each dataset and its slice number before it is saved; where it returns True the slice is left out.
    """
    hu = hu_of(grid, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for z in range(grid.size[2]):
        ds = dataset_of(grid, z, hu, series=series, study=study)
        if description:
            ds.SeriesDescription = description
        if change is None or change(ds, z) is not True:
            save(ds, folder / f"slice{z:03d}.dcm")
    return hu


def write_4dct(
    folder: Path,
    *,
    percents: Sequence[float] = (0, 20, 50, 80),
    text: str = "{:.1f}%",
    grid: Geometry = GRID,
    study: str = "1",
    first_series: int = 1,
    changes: dict[float, Change] | None = None,
) -> dict[float, np.ndarray]:
    """Write a 4D-CT, one series and folder (p0, p1 …) for each phase, and return its Hounsfield units by percentage. changes: by percentage."""
    return {
        percent: write_series(
            folder / f"p{n}",
            description=text.format(percent),
            grid=grid,
            seed=n,
            series=str(n + first_series),
            study=study,
            change=(changes or {}).get(percent),
        )
        for n, percent in enumerate(percents)
    }


def enhanced_of(
    grid: Geometry, percents: Sequence[float] = (0, 50), *, series: str = "1", study: str = "1"
) -> tuple[Dataset, dict[float, np.ndarray]]:
    """An enhanced multi-frame CT that holds several phases in one file, frames interleaved by position; and the phases' Hounsfield units."""
    phases = {percent: hu_of(grid, seed) for seed, percent in enumerate(percents)}
    ds = common(grid, series=series, study=study)
    ds.SOPClassUID, ds.SOPInstanceUID = EnhancedCTImageStorage, f"{ROOT}.{study}.{series}.1"
    frames, groups = [], []
    for z in reversed(range(grid.size[2])):
        for number, (percent, hu) in enumerate(phases.items(), start=1):
            frames.append(hu[z])
            groups.append(_frame_group(grid, z, number, percent))
    store(ds, np.stack(frames))
    del ds.RescaleSlope, ds.RescaleIntercept
    ds.NumberOfFrames = len(frames)
    ds.SharedFunctionalGroupsSequence = Items([_shared_group(grid)])
    ds.PerFrameFunctionalGroupsSequence = Items(groups)
    return ds, phases


def _shared_group(grid: Geometry) -> Dataset:
    group = Dataset()
    group.PlaneOrientationSequence = item(ImageOrientationPatient=decimals([*grid.matrix[:, 0], *grid.matrix[:, 1]]))
    group.PixelMeasuresSequence = item(PixelSpacing=decimals([grid.spacing_mm[1], grid.spacing_mm[0]]), SliceThickness="3")
    group.PixelValueTransformationSequence = item(RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU")
    return group


def _frame_group(grid: Geometry, z: int, number: int, percent: float) -> Dataset:
    group = Dataset()
    group.PlanePositionSequence = item(ImagePositionPatient=decimals(grid.to_patient([0, 0, z])))
    group.FrameContentSequence = item(TemporalPositionIndex=number)
    group.RespiratorySynchronizationSequence = item(NominalPercentageOfRespiratoryPhase=float(percent))
    return group


def item(**attributes: object) -> Items:
    """A sequence of one item."""
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return Items([ds])


def save(ds: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path
