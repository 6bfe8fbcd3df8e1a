"""DICOM Segmentation objects (PS3.3 A.51) read as masks, on the grid of a CT or on their own.

A frame is placed by position and orientation alone: frames may come in any order, turned within their plane, cropped, or be left out where
they are empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from rt4d import geometry as grids
from rt4d.dicom.object_file import open_object, refusing, require_patient, text
from rt4d.errors import ContourError, DicomError, GeometryError, InputError, NotFoundError
from rt4d.geometry import POSITION_TOLERANCE_MM, Floats, Geometry
from rt4d.phases import CtImage
from rt4d.volumes import Mask

SEGMENTATION, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
PLACED_VOXELS = 0.1
"""So far a frame's pixels may lie from voxel centres: what rounding of positions makes; more is another grid."""
MAX_SLICES, MAX_PIXELS, MAX_VOXELS = 5000, 2**26, 2**30
"""Of the grid and of one frame that are believed: a broken file may claim more than memory holds."""
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where one frame lies: the centre of its first pixel, the directions along a row and down a column, the spacing along each."""

    segment: int
    position_mm: Floats
    along_row: Floats
    down_column: Floats
    spacing_mm: tuple[float, float]

    def corners(self, rows: int, columns: int) -> Floats:
        """The centres of the first pixel, the last of the first row and the first of the last row, shape (3, 3)."""
        right = self.along_row * self.spacing_mm[0] * (columns - 1)
        return np.stack([self.position_mm, self.position_mm + right, self.position_mm + self.down_column * self.spacing_mm[1] * (rows - 1)])


class Segments(Mapping[str, Mask]):
    """The segments of a segmentation as masks on one grid, made when asked for and kept; they may overlap.

    Asking for one raises NotFoundError (no such name) or ContourError (two of that name, empty, partly outside the CT).
    """

    def __init__(
        self,
        names: Mapping[int, str],
        frames: Sequence[tuple[int, npt.NDArray[np.intp]]],
        pixels: _Pixels,
        *,
        geometry: Geometry,
        where: str = "",
        notes: tuple[str, ...] = (),
    ) -> None:
        self.geometry, self.notes = geometry, notes
        self._numbers, self._frames, self._pixels, self._where = names, frames, pixels, where
        self._masks: dict[str, Mask] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all segments in the order of the file."""
        return tuple(self._numbers.values())

    def __getitem__(self, name: str) -> Mask:
        if name not in self._masks:
            self._masks[name] = self._mask(name)
        return self._masks[name]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in self.names if self.names.count(name) == 1])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        return f"Segments({', '.join(self.names)})"

    def _mask(self, name: str) -> Mask:
        numbers = [number for number, each in self._numbers.items() if each == name]
        if not numbers:
            raise NotFoundError("No segment of that name", where=self._where, expected=f"one of {', '.join(self.names)}", found=name)
        if len(numbers) > 1:
            raise ContourError(f"Several segments are called {name}", where=self._where, found=f"numbers {', '.join(map(str, numbers))}")
        inside = np.zeros(self.geometry.shape, dtype=bool)
        beyond = 0
        for frame, (number, placing) in enumerate(self._frames):
            if number in (numbers[0], 0):
                with refusing("The segmentation", self._where):
                    row, column = np.nonzero(self._pixels.inside(frame, numbers[0]))
                index = placing[0] + row[:, None] * placing[1] + column[:, None] * placing[2]
                here = np.all((index >= 0) & (index < self.geometry.size), axis=1)
                beyond += int(np.count_nonzero(~here))
                x, y, z = index[here].T
                inside[z, y, x] = True
        if beyond:
            do = "Give the CT that it was drawn on"
            raise ContourError(f"Segment {name} lies partly outside the image", where=self._where, found=f"{beyond} of its voxels beyond", do=do)
        if not inside.any():
            raise ContourError(f"Segment {name} is empty", where=self._where)
        return Mask(inside, self.geometry)


class _Pixels:
    """The frames of a segmentation, one at a time."""

    def __init__(self, dataset: Dataset, *, where: str, threshold: float | None) -> None:
        self._dataset, self._limit, self.is_label_map = dataset, 0.5, dataset.SOPClassUID == LABEL_MAP
        self.rows, self.columns, self.frames = int(dataset.Rows), int(dataset.Columns), int(dataset.get("NumberOfFrames") or 1)
        self._bits = int(dataset.BitsAllocated)
        self._native = str(dataset.file_meta.TransferSyntaxUID) in _NATIVE
        if text(dataset, "SegmentationType") == "FRACTIONAL":
            if threshold is None:
                do = "Say from which fraction on a voxel is inside: threshold=0.5"
                raise ContourError("A fractional segmentation is no mask", where=where, found=text(dataset, "SegmentationFractionalType"), do=do)
            self._limit = threshold * int(dataset.MaximumFractionalValue)
        needed = (self.rows * self.columns * self.frames * self._bits + 7) // 8
        if self._bits not in (1, 8, 16) or min(self.rows, self.columns, self.frames) < 1 or self.rows * self.columns > MAX_PIXELS:
            found = f"{self.frames} frames of {self.columns}×{self.rows}, {self._bits} bits"
            raise DicomError("A segmentation's frames cannot be what it says", where=where, found=found)
        if self._native and len(dataset.PixelData) < needed:
            raise DicomError("A segmentation is cut short", where=where, expected=f"{needed} bytes of pixels", found=len(dataset.PixelData))

    def inside(self, frame: int, segment: int) -> npt.NDArray[np.bool_]:
        """The pixels of a frame that belong to the segment, shape (rows, columns)."""
        values = self._values(frame)
        return np.asarray(values == segment if self.is_label_map else (values >= self._limit) & (values > 0))

    def _values(self, frame: int) -> npt.NDArray[Any]:
        if not self._native:
            from pydicom.pixels.utils import pixel_array

            return pixel_array(self._dataset, index=frame, raw=True)
        count, data = self.rows * self.columns, self._dataset.PixelData
        if self._bits > 1:
            values = np.frombuffer(data, dtype="u1" if self._bits == 8 else "<u2", count=count, offset=frame * count * self._bits // 8)
            return values.reshape(self.rows, self.columns)
        first = frame * count
        packed = np.frombuffer(data[first // 8 : (first + count + 7) // 8], dtype="u1")
        return np.unpackbits(packed, bitorder="little")[first % 8 :][:count].reshape(self.rows, self.columns)


def read_seg(path: str | Path, *, on: CtImage | None = None, assume_same_frame: bool = False, threshold: float | None = None) -> Segments:
    """The segments of a segmentation as masks by name: on the grid of the CT, or without one on the grid that its own frames make.

    Frames are placed by their position and orientation. Refused: another patient; another frame of reference than the CT's, or none,
    unless `assume_same_frame`; frames that do not lie on the CT's voxels; a fractional one, unless a `threshold` (0 to 1) says from
    which fraction on a voxel is inside. Without a CT, slices left out where evenly spaced ones are empty are put back.
    """
    path = Path(path)
    if threshold is not None and not 0 < threshold <= 1:
        raise InputError("A threshold is a fraction", expected="more than 0, at most 1", found=threshold)
    dataset = open_object(path, (SEGMENTATION, LABEL_MAP), what="A DICOM segmentation")
    with refusing("The segmentation", path.name):
        notes = _require_belonging(dataset, on, path.name, assume_same_frame=assume_same_frame) if on else ()
        pixels = _Pixels(dataset, where=path.name, threshold=threshold)
        planes = _planes(dataset, pixels, path.name)
        names = {int(each.SegmentNumber): text(each, "SegmentLabel") or f"segment {each.SegmentNumber}" for each in dataset.SegmentSequence}
        names = {number: name for number, name in names.items() if number > 0}
        geometry = on.geometry if on else _grid(planes, dataset, pixels, path.name)
        frames = [(plane.segment, _placing(plane, geometry, pixels, where=f"{path.name}, frame {n}")) for n, plane in enumerate(planes, start=1)]
    return Segments(names, frames, pixels, geometry=geometry, where=path.name, notes=notes)


def _require_belonging(dataset: Dataset, on: CtImage, where: str, *, assume_same_frame: bool) -> tuple[str, ...]:
    require_patient(dataset, on, what="The segmentation", where=where)
    mine, theirs = on.geometry.frame_of_reference, text(dataset, "FrameOfReferenceUID")
    if mine and mine == theirs:
        return ()
    if not assume_same_frame:
        raise ContourError(
            "The segmentation lies in another frame of reference than the CT",
            where=where,
            expected=mine or "a CT that names its frame of reference (this one names none)",
            found=theirs or "none named",
            do="Give the CT that it was drawn on, or assume_same_frame=True where you know that both are one",
        )
    return (f"{where} is on frame of reference {theirs or 'none'}, the CT on {mine or 'none'}: taken as the same because told so",)


def _planes(dataset: Dataset, pixels: _Pixels, where: str) -> list[_Plane]:
    """Where each frame lies and which segment it shows, 0 of a label map, whose frames show all."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    groups = dataset.PerFrameFunctionalGroupsSequence
    if len(groups) != pixels.frames:
        raise DicomError("A segmentation does not place all its frames", where=where, expected=f"{pixels.frames} places", found=len(groups))
    return [_plane(group, shared, is_label_map=pixels.is_label_map, where=f"{where}, frame {n}") for n, group in enumerate(groups, start=1)]


def _plane(group: Dataset, shared: Dataset, *, is_label_map: bool, where: str) -> _Plane:
    def of(macro: str) -> Dataset:
        found: Dataset = (group.get(macro) or shared[macro].value)[0]
        return found

    orientation = np.array(of("PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
    position = np.array(of("PlanePositionSequence").ImagePositionPatient, dtype=float)
    between_rows, between_columns = (float(v) for v in of("PixelMeasuresSequence").PixelSpacing)
    if not np.isfinite([*orientation, *position, between_rows, between_columns]).all() or orientation.size != 6 or position.size != 3:
        raise DicomError("A frame's place is not six directions, three coordinates and two spacings", where=where)
    segment = 0 if is_label_map else int(of("SegmentIdentificationSequence").ReferencedSegmentNumber)
    return _Plane(segment, position, orientation[:3], orientation[3:], (between_columns, between_rows))


def _placing(plane: _Plane, on: Geometry, pixels: _Pixels, *, where: str) -> npt.NDArray[np.intp]:
    """Indices x y z: of the frame's first pixel, and the steps to the next row and column; refused where pixels do not lie on voxel centres."""
    index = on.to_index(plane.corners(pixels.rows, pixels.columns))
    first, right, below = np.rint(index)
    across = (right - first) / max(pixels.columns - 1, 1)
    down = (below - first) / max(pixels.rows - 1, 1)
    placing = np.stack([first, down, across])
    one_voxel = all(np.abs(step).sum() == 1 for step, n in ((down, pixels.rows), (across, pixels.columns)) if n > 1)
    if np.abs(index - np.rint(index)).max() > PLACED_VOXELS or not one_voxel or not np.array_equal(placing, np.rint(placing)):
        x, y, z = plane.position_mm
        raise GeometryError(
            "The segmentation's voxels are not those of the CT",
            where=where,
            expected=f"pixels of {on.spacing_mm[0]:g}×{on.spacing_mm[1]:g} mm on its voxel centres",
            found=f"{plane.spacing_mm[0]:g}×{plane.spacing_mm[1]:g} mm from ({x:g}, {y:g}, {z:g})",
            do="Give the CT that it was drawn on, or read it without a CT and resample it",
        )
    return placing.astype(np.intp)


def _grid(planes: Sequence[_Plane], dataset: Dataset, pixels: _Pixels, where: str) -> Geometry:
    """The grid that the frames make: even where their distances are whole steps, else with the slices that are there."""
    first = planes[0]
    for plane in planes:
        same = np.allclose([*plane.along_row, *plane.down_column], [*first.along_row, *first.down_column], atol=grids.DIRECTION_TOLERANCE)
        aside = np.cross(plane.position_mm - first.position_mm, np.cross(first.along_row, first.down_column))
        if not same or plane.spacing_mm != first.spacing_mm or np.abs(aside).max() > POSITION_TOLERANCE_MM:
            raise GeometryError("The segmentation's frames are no one stack", where=where, do="Read it on the CT that it was drawn on: on=ct")
    normal = np.cross(first.along_row, first.down_column)
    heights = np.sort([float(plane.position_mm @ normal) for plane in planes])
    heights = heights[np.r_[True, np.diff(heights) > POSITION_TOLERANCE_MM]]
    lowest = min(planes, key=lambda plane: float(plane.position_mm @ normal))
    n, step, offsets = _stacked(heights - heights[0], _slice_step(dataset, heights, where))
    if n > MAX_SLICES or n * pixels.rows * pixels.columns > MAX_VOXELS:
        raise DicomError("The segmentation's grid is too large", where=where, found=f"{pixels.columns}×{pixels.rows}×{n} voxels")
    matrix = np.column_stack([first.along_row, first.down_column, normal])
    size, spacing = (pixels.columns, pixels.rows, n), (*first.spacing_mm, step)
    x, y, z = (float(v) for v in lowest.position_mm)
    return Geometry(size, spacing, (x, y, z), tuple(matrix.ravel()), text(dataset, "FrameOfReferenceUID"), offsets)


def _slice_step(dataset: Dataset, heights: Floats, where: str) -> float:
    """The distance between slices: as stated, else the smallest between frames, else a slice's thickness."""
    measures = dataset.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence") or [Dataset()]
    if stated := abs(float(measures[0].get("SpacingBetweenSlices") or 0)):
        return stated
    step = float(np.diff(heights).min()) if len(heights) > 1 else float(measures[0].get("SliceThickness") or 0)
    if step <= 0:
        raise DicomError("A segmentation of one slice does not say how thick it is", where=where, do="Read it on its CT: on=ct")
    return step


def _stacked(offsets: Floats, step: float) -> tuple[int, float, tuple[float, ...] | None]:
    """How many slices, how far apart, and their own offsets where they are uneven."""
    whole = np.rint(offsets / step)
    if np.abs(offsets - whole * step).max() <= POSITION_TOLERANCE_MM:
        return int(whole[-1]) + 1, step, None
    return len(offsets), float(np.median(np.diff(offsets))), tuple(offsets.tolist())
