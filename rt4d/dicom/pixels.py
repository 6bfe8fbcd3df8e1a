"""Stored pixels become Hounsfield units: int16, exactly, without a copy where that can be, or refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from rt4d.dicom.folder import in_threads
from rt4d.dicom.headers import PixelLayout, Slice, quiet
from rt4d.errors import DicomError
from rt4d.rois import Progress

Hu = npt.NDArray[np.int16]
Target = tuple[Slice, Hu]

LOWEST_HU = -1024
"""What lies outside the scanner's circle is stored as −2000, −3024 and the like: it becomes this, as does all below it."""
PADDING_ABOVE_HU = 3000
"""A PixelPaddingValue that would be tissue is not believed: some archives declare 0 or 1024, which voxels of water have too."""
OTHER_UNITS = ("OD", "MGML", "Z_EFF", "ED", "EDW", "PCT")
"""Rescale types by which a CT says that it holds something else (PS3.3 C.11.1.1.2). US, unspecified, and words of vendors do not say so."""
MOST_COLUMNS, MOST_BYTES = 8192, 2 << 30
"""No CT has more; what a broken header says of compressed pixels must not take the machine's memory."""
_UNDECODABLE = (
    *(ValueError, RuntimeError, AttributeError, LookupError, TypeError, EOFError, ArithmeticError, MemoryError),
    *(BytesLengthException, InvalidDicomError, struct.error, zlib.error),
)
"""What pydicom raises on compressed pixels and headers that are broken in one way or another."""


def require_readable(slices: Sequence[Slice]) -> None:
    """Refuse, by name, images whose pixels are no CT's, do not say how they become Hounsfield units, or whose file ends before they do."""
    for one in slices:
        _require_hounsfield(one)
        pixels = one.file.pixels
        if pixels is None:
            raise DicomError("An image holds no pixels", where=one.name, do="The file is cut off: copy or export it again")
        wrong = _oddity(pixels)
        if wrong:
            raise DicomError("The pixels of an image are not a CT's", where=one.name, expected=wrong[0], found=wrong[1])
        needed = pixels.frame_bytes * pixels.frames
        if pixels.is_native and one.file.size < pixels.offset + needed:
            raise DicomError(
                "A file is cut off",
                where=one.file.name,
                expected=f"{pixels.offset + needed} bytes",
                found=f"{one.file.size}",
                do="Copy or export it again",
            )
        if pixels.is_native and pixels.length < needed:
            raise DicomError("An image holds too few pixels", where=one.file.name, expected=f"{needed} bytes", found=f"{pixels.length}")


def _require_hounsfield(one: Slice) -> None:
    for expected, found, fine in (
        ("RescaleIntercept", "none, or no usable number", one.intercept is not None),
        ("RescaleSlope", "none, or no usable number", one.slope is not None),
        ("RescaleSlope above 0", f"{one.slope or 0:g}", (one.slope or 0) > 0),
        ("RescaleType HU", one.rescale_type, one.rescale_type not in OTHER_UNITS),
    ):
        if not fine:
            raise DicomError(
                "The pixels of an image do not become Hounsfield units",
                where=one.name,
                expected=expected,
                found=found,
                do="Export the series again, from the scanner or the archive; units are not guessed",
            )


def _rescaling(one: Slice) -> tuple[float, float]:
    """Slope and intercept; `require_readable` has seen to it that there are both."""
    assert one.slope is not None
    assert one.intercept is not None
    return one.slope, one.intercept


def _oddity(pixels: PixelLayout) -> tuple[str, object] | None:
    """What was expected and what was found instead."""
    for expected, found, fine in (
        ("Rows and Columns above 0", f"{pixels.rows} × {pixels.columns}", pixels.rows > 0 and pixels.columns > 0),
        (f"at most {MOST_COLUMNS} Rows and Columns", f"{pixels.rows} × {pixels.columns}", max(pixels.rows, pixels.columns) <= MOST_COLUMNS),
        ("pixels of at most 2 GiB", f"{pixels.frames} frames", pixels.is_native or pixels.frame_bytes * pixels.frames <= MOST_BYTES),
        ("one sample per pixel", pixels.samples, pixels.samples == 1),
        ("photometric interpretation MONOCHROME2", pixels.photometric or "none", pixels.photometric == "MONOCHROME2"),
        ("8, 16 or 32 bits allocated", pixels.bits_allocated, pixels.bits_allocated in (8, 16, 32)),
        ("bits stored within those allocated", pixels.bits_stored, 0 < pixels.bits_stored <= pixels.bits_allocated),
        ("high bit = bits stored − 1", pixels.high_bit, pixels.high_bit == pixels.bits_stored - 1),
    ):
        if not fine:
            return expected, found
    return None


def read_hu(targets: Sequence[Target], *, workers: int | None = None, progress: Progress | None = None) -> None:
    """Fill each target's array, int16 of shape (y, x), with its slice's Hounsfield units. Files are read side by side."""
    by_file: dict[Path, list[Target]] = {}
    for one, out in targets:
        by_file.setdefault(one.file.path, []).append((one, out))
    groups = list(by_file.values())
    native = all(one.file.pixels is not None and one.file.pixels.is_native for one, _ in targets)
    if native:
        in_threads(_fill, groups, workers=workers, progress=progress, stage="reading slices")
    else:
        with quiet():
            in_threads(_fill, groups, workers=workers, progress=progress, stage="reading slices")


def _fill(targets: Sequence[Target]) -> None:
    """All the slices that are wanted of one file."""
    pixels = targets[0][0].file.pixels
    assert pixels is not None
    try:
        if pixels.is_native and pixels.bits_allocated == 16:
            _fill_native(targets, pixels)
        else:
            _fill_decoded(targets, pixels)
    except OSError as error:
        raise DicomError("A file cannot be read", where=targets[0][0].file.name, found=error.strerror or error) from error


def _fill_native(targets: Sequence[Target], pixels: PixelLayout) -> None:
    with targets[0][0].file.path.open("rb", buffering=0) as stream:
        for one, out in targets:
            stream.seek(pixels.offset + ((one.frame or 1) - 1) * pixels.frame_bytes)
            if stream.readinto(out.data.cast("B")) != pixels.frame_bytes:
                raise DicomError("A file is cut off", where=one.file.name, do="Copy or export it again")
            if pixels.transfer_syntax == ExplicitVRBigEndian:
                out.byteswap(inplace=True)
            to_hu(out.view(np.int16 if pixels.is_signed else np.uint16), one, pixels, out)


def _fill_decoded(targets: Sequence[Target], pixels: PixelLayout) -> None:
    """By pydicom where it can decode the file, else by SimpleITK (GDCM), which gives Hounsfield units at once."""
    first = targets[0][0]
    if pixels.is_native or pixels.transfer_syntax == DeflatedExplicitVRLittleEndian or _has_decoder(pixels.transfer_syntax):
        raw = _decode(first)
        frames = raw.reshape(-1, pixels.rows, pixels.columns)
        for one, out in targets:
            to_hu(frames[(one.frame or 1) - 1], one, pixels, out)
        return
    try:
        image = sitk.ReadImage(str(first.file.path), imageIO="GDCMImageIO")
    except RuntimeError as error:
        raise _undecodable(first) from error
    frames = sitk.GetArrayViewFromImage(image).reshape(-1, pixels.rows, pixels.columns)
    if len({(one.slope, one.intercept) for one, _ in targets}) > 1:
        raise _undecodable(first)
    for one, out in targets:
        hu = frames[(one.frame or 1) - 1].astype(np.float64)
        slope, intercept = _rescaling(one)
        padded = hu == (pixels.padding or 0) * slope + intercept if _padding_counts(one, pixels) else None
        _store(hu, padded, one, out)


def _has_decoder(transfer_syntax: str) -> bool:
    try:
        return get_decoder(transfer_syntax).is_available
    except NotImplementedError:  # no transfer syntax at all
        return False


def _decode(one: Slice) -> npt.NDArray[np.integer]:
    try:
        return np.asarray(dcmread(one.file.path, force=True).pixel_array)
    except _UNDECODABLE as error:
        raise _undecodable(one) from error


def _undecodable(one: Slice) -> DicomError:
    syntax = one.file.pixels.transfer_syntax if one.file.pixels else "none"
    return DicomError(
        "The compressed pixels of an image cannot be decoded",
        where=one.file.name,
        found=f"transfer syntax {syntax}",
        do="Copy the file again; if it is whole, export it uncompressed",
    )


def to_hu(raw: npt.NDArray[np.integer], one: Slice, pixels: PixelLayout, out: Hu) -> None:
    """Rescale stored numbers into `out`, which may share their memory.

    With slope 1 and an integer intercept the sum is exact modulo 2¹⁶, so it is done in place once the extremes are known to fit.
    """
    slope, intercept = _rescaling(one)
    padded = raw == pixels.padding if _padding_counts(one, pixels) else None
    raw = _within_bits_stored(raw, pixels)
    if padded is None and raw.itemsize == 2 and slope == 1 and intercept.is_integer() and abs(intercept) < 2**15:
        low, high = int(raw.min()) + int(intercept), int(raw.max()) + int(intercept)
        if low >= -(2**15) and high < 2**15:
            np.add(raw.view(np.int16), np.int16(intercept), out=out)
            if low < LOWEST_HU:
                np.maximum(out, np.int16(LOWEST_HU), out=out)
            return
    _store(raw * slope + intercept, padded, one, out)


def _within_bits_stored(raw: npt.NDArray[np.integer], pixels: PixelLayout) -> npt.NDArray[np.integer]:
    """Without what old scanners kept above the stored bits (overlays)."""
    spare = raw.itemsize * 8 - pixels.bits_stored
    if not spare:
        return raw
    limit = 1 << (pixels.bits_stored - 1 if pixels.is_signed else pixels.bits_stored)
    if raw.max() < limit and (not pixels.is_signed or raw.min() >= -limit):
        return raw
    return np.asarray((raw << spare) >> spare)


def _padding_counts(one: Slice, pixels: PixelLayout) -> bool:
    """Whether the padding value must be looked for: low ones fall below the lowest HU anyway, and tissue is not padding."""
    if pixels.padding is None:
        return False
    limit = 1 << (pixels.bits_stored - 1 if pixels.is_signed else pixels.bits_stored)
    slope, intercept = _rescaling(one)
    outside_bits = not (-limit if pixels.is_signed else 0) <= pixels.padding < limit
    return outside_bits or pixels.padding * slope + intercept >= PADDING_ABOVE_HU


def _store(hu: npt.NDArray[np.floating], padded: npt.NDArray[np.bool_] | None, one: Slice, out: Hu) -> None:
    """Round and clamp from below; above int16 nothing is clamped but refused."""
    if padded is not None:
        hu[padded] = LOWEST_HU
    if not np.isfinite(hu).all() or hu.max() >= 2**15 - 0.5:
        raise DicomError(
            "The values of an image are no Hounsfield units",
            where=one.name,
            expected="at most 32767 HU",
            found=f"{hu.max():.0f} (RescaleSlope {one.slope:g}, RescaleIntercept {one.intercept:g})",
        )
    np.maximum(np.rint(hu), LOWEST_HU, out=hu)
    out[...] = hu.astype(np.int16)
