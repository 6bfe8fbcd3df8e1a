"""Everything DICOM in a folder, as scanners and archives leave it: nested, without extensions, with copies, among other files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rt4d.dicom.headers import DicomFile, Slice, Unreadable, quiet, read_header
from rt4d.errors import DicomError, InputError, NotFoundError
from rt4d.rois import Progress

T = TypeVar("T")
R = TypeVar("R")


Entry = tuple[DicomFile, tuple[Slice, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What lies in a folder: DICOM files and CT slices, each counted once, in the order of their paths.

    copies: (copy, original) of files that are there twice. others: how many files are not DICOM.
    """

    folder: Path
    files: tuple[DicomFile, ...]
    slices: tuple[Slice, ...]
    unreadable: tuple[Unreadable, ...]
    copies: tuple[tuple[DicomFile, DicomFile], ...]
    others: int

    @property
    def inventory(self) -> str:
        """What is here in a few words, for messages: '134 CT, 2 RTSTRUCT, 3 other files'."""
        counts = Counter(file.modality or "unknown" for file in self.files)
        said = [f"{n} {modality}" for modality, n in sorted(counts.items())]
        said += [f"{len(self.unreadable)} unreadable"] if self.unreadable else []
        said += [f"{self.others} not DICOM"] if self.others else []
        return ", ".join(said) or "no files"


def read_folder(folder: str | Path, *, progress: Progress | None = None, workers: int | None = None) -> Contents:
    """Read the headers of all files below a folder (or of one file). A folder that is not there is refused; an empty one is not."""
    root = Path(folder)
    if not root.exists():
        raise NotFoundError("There is no such folder", where=root, do="Give the folder that holds the DICOM files")
    named = [(root, root.name)] if root.is_file() else [(path, path.relative_to(root).as_posix()) for path in _walk(root)]
    with quiet():
        read = in_threads(lambda pair: read_header(*pair), named, workers=workers, progress=progress, stage="reading headers")
    unreadable = tuple(entry for entry in read if isinstance(entry, Unreadable))
    found = [entry for entry in read if entry is not None and not isinstance(entry, Unreadable)]
    kept, copies = _once(found)
    return Contents(
        folder=root,
        files=tuple(file for file, _ in kept),
        slices=tuple(one for _, slices in kept for one in slices),
        unreadable=unreadable,
        copies=tuple(copies),
        others=sum(entry is None for entry in read),
    )


def in_threads(work: Callable[[T], R], tasks: Sequence[T], *, workers: int | None, progress: Progress | None, stage: str) -> list[R]:
    """The work on each task, in the order of the tasks; progress is told from the calling thread."""
    results: list[R] = []
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        try:
            for done, result in enumerate(pool.map(work, tasks), start=1):
                results.append(result)
                if progress:
                    progress(stage, done, len(tasks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _walk(root: Path) -> Iterator[Path]:
    """All files below a folder in the order of their paths, through links too, but no folder twice."""
    seen: set[str] = set()
    found: list[Path] = []
    for place, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [Path(place, name) for name in names]
    yield from sorted(path for path in found if path.is_file())


def _once(found: Sequence[Entry]) -> tuple[list[Entry], list[tuple[DicomFile, DicomFile]]]:
    """Each SOP instance once; two different images under one UID are refused, for one of them would be lost."""
    kept: dict[object, Entry] = {}
    copies: list[tuple[DicomFile, DicomFile]] = []
    for file, slices in found:
        key = file.sop_uid or file
        if key not in kept:
            kept[key] = (file, slices)
            continue
        original, its_slices = kept[key]
        if slices and not _is_copy(file, slices, original, its_slices):
            raise DicomError(
                "Two different images have the same SOPInstanceUID",
                where=f"{original.name} and {file.name}",
                do="Export the images again; the UIDs that tell them apart were damaged",
            )
        copies.append((file, original))
    return list(kept.values()), copies


def _is_copy(file: DicomFile, slices: Sequence[Slice], other: DicomFile, others: Sequence[Slice]) -> bool:
    facts = [(s.position_mm, s.row, s.column, s.slope, s.intercept, s.texts, s.temporal_index) for s in slices]
    if facts != [(s.position_mm, s.row, s.column, s.slope, s.intercept, s.texts, s.temporal_index) for s in others]:
        return False
    return file.series_uid == other.series_uid and _pixel_bytes(file) == _pixel_bytes(other)


def _pixel_bytes(file: DicomFile) -> bytes:
    """The stored pixels, all that follows the header where they are compressed."""
    if file.pixels is None:
        return b""
    try:
        with file.path.open("rb") as stream:
            stream.seek(file.pixels.offset)
            return stream.read(file.pixels.length)
    except OSError as error:
        raise InputError("A file cannot be read", where=file.name, found=error.strerror or error) from error
