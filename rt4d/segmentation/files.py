"""What a segmentation leaves in a folder: masks on the CT's grid, and candidates.json, which lists every candidate and what became of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from rt4d.images import write_mask
from rt4d.provenance import cores
from rt4d.rois import Progress
from rt4d.segmentation.candidates import Candidate
from rt4d.segmentation.segmenting import Segmentation

SCHEMA = "rt4d.candidates/1"
LookedAt = Literal["reference", "average"]
"""What of a 4D-CT was looked at: its reference phase, or the average of its phases."""
MOST_SIDE_BY_SIDE = 4
"""Masks written at once: each takes a CT's voxels three times over, one byte each."""
SPECK_CM3 = 0.05
"""What is smaller and not kept stands in the JSON only, without a mask of its own, and is counted elsewhere: a poor scan has hundreds of them."""
LISTED = 10
"""So many candidates are shown to a reader at first, and every one that is kept; of the others there is a count, and the whole list in the JSON."""


def write_segmentation(
    folder: Path, found: Segmentation, *, on: LookedAt | None, reference: str | None, progress: Progress | None = None
) -> dict[str, Any]:
    """Write gtv.nii.gz (all kept candidates), candidate_<n>.nii.gz and candidates.json; what stands in candidates.json.

    on: what of a 4D-CT was looked at, None where the CT is none. reference: the phase, where it was one. Raises GeometryError on uneven
    slices, before anything is written.
    """
    own = [one for one in found.candidates if one.kept or one.volume_cm3 >= SPECK_CM3]
    with ThreadPoolExecutor(min(cores(), MOST_SIDE_BY_SIDE)) as pool:
        written = pool.map(lambda one: write_mask(folder / file_name(one), one.mask), own)
        write_mask(folder / "gtv.nii.gz", found.mask)
        for done, _ in enumerate(written, start=1):
            if progress is not None:
                progress("writing", done, len(own))
    record = to_dict(found, on=on, reference=reference)
    for told, one in zip(record["candidates"], found.candidates, strict=True):
        told["file"] = file_name(one) if one in own else None
    (folder / "candidates.json").write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return record


def to_dict(found: Segmentation, *, on: LookedAt | None, reference: str | None) -> dict[str, Any]:
    """The contract of candidates.json, without the names of files; null for what the CT is not (`on`: a 4D-CT; `reference`: one of its phases)."""
    return {
        "schema": SCHEMA,
        "bundle": {"name": found.bundle, "sha256": found.bundle_sha256},
        "on": on,
        "reference": reference,
        "flips": found.flips,
        "speck_cm3": SPECK_CM3,
        "candidates": [candidate_dict(one) for one in found.candidates],
        "notes": list(found.notes),
    }


def candidate_dict(one: Candidate) -> dict[str, Any]:
    """A candidate in numbers and words; null for a spread or a side that is not told."""
    return {
        "number": one.number,
        "score": round(one.score, 4),
        "volume_cm3": round(one.volume_cm3, 4),
        "centroid_mm": [round(v, 4) for v in one.centroid_mm],
        "longest_axis_mm": round(one.longest_axis_mm, 2),
        "side": one.side,
        "spread": None if one.spread is None else round(one.spread, 4),
        "outlined_from": round(one.outlined_from, 4),
        "at_edge": one.at_edge,
        "kept": one.kept,
        "why_not": one.why_not,
    }


def as_lines(record: dict[str, Any], *, all_in: str) -> list[str]:
    """The candidates as a table for a terminal, the faintest and specks counted; in words where there is none. all_in: the file with all."""
    sized = [one for one in record["candidates"] if one["kept"] or one["volume_cm3"] >= record["speck_cm3"]]
    candidates = [one for place, one in enumerate(sized) if one["kept"] or place < LISTED]
    told = []
    if more := [one for one in sized[LISTED:] if not one["kept"]]:
        told.append(f"{len(more)} more with scores from {max(one['score'] for one in more):.2f} down, not kept: {all_in}")
    if specks := len(record["candidates"]) - len(sized):
        told.append(f"{specks} smaller than {record['speck_cm3']:g} cm³, not kept: {all_in}")
    if not candidates:
        return ["No candidate was found", *told]
    lines = [f"{'':>3}{'score':>8}{'spread':>8}{'cm³':>9}{'long mm':>9}{'x mm':>9}{'y mm':>8}{'z mm':>8}  side"]
    for one in candidates:
        place = f"{one['centroid_mm'][0]:9.1f}{one['centroid_mm'][1]:8.1f}{one['centroid_mm'][2]:8.1f}"
        spread = "–" if one["spread"] is None else f"{one['spread']:.2f}"
        became = "kept" if one["kept"] else f"not kept: {one['why_not']}"
        edge = "; reaches the edge of what was looked at" if one["at_edge"] else ""
        measures = f"{one['number']:>3}{one['score']:8.2f}{spread:>8}{one['volume_cm3']:9.2f}{one['longest_axis_mm']:9.1f}"
        lines.append(f"{measures}{place}  {one['side'] or '–':<7} {became}{edge}")
    return lines + told


def file_name(one: Candidate) -> str:
    return f"candidate_{one.number}.nii.gz"
