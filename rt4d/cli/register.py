"""rt4d register: where each point of one thoracic CT lies in another one."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rt4d.geometry import Floats
    from rt4d.motion.pairs import Registration
    from rt4d.rois import Progress
    from rt4d.volumes import Volume

CHECK_FAILED = 1
HEADER = ["x", "y", "z"]


def register(
    fixed: Annotated[Path, typer.Argument(metavar="FIXED", help="A CT: DICOM folder, NIfTI, MHA or NRRD.")],
    moving: Annotated[Path, typer.Argument(metavar="MOVING", help="Another CT of the same patient, on whatever grid and couch position.")],
    out: Annotated[Path, typer.Option("--out", metavar="FIELD.mha", help="The displacement field (mha, nrrd, nii.gz): not there yet.")],
    recipe: Annotated[str | None, typer.Option(help="A recipe for the lungs: a name or a folder.  [default: lung_large_deformation]")] = None,
    points: Annotated[Path | None, typer.Option(metavar="IN.csv", help="Points of FIXED: x,y,z in mm (LPS), with that header.")] = None,
    points_out: Annotated[Path | None, typer.Option(metavar="OUT.csv", help="Where they lie in MOVING.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> int:
    """The field that takes a point of FIXED to where it lies in MOVING: x + u(x), mm, on FIXED's grid.

    The lungs of both are found and laid over one another first. Compared are the lungs: elsewhere the field is only carried on. Exit code 1
    where a check failed; the field is written all the same.
    """
    from rt4d.cli.screen import progress
    from rt4d.images import write_field
    from rt4d.motion.pairs import register as register_pair

    _require_new(out, points, points_out)
    places = _read_points(points) if points else None
    with progress() as show:
        here, there = _read(fixed, show), _read(moving, show)
        found = register_pair(here, there, recipe=recipe, progress=show)
    mapped = found.field.map(places) if places is not None else None
    if mapped is not None and points_out is not None:
        _write_points(points_out, mapped)
    write_field(out, found.field)
    sys.stdout.write(json.dumps(_summary(found), indent=2) + "\n" if as_json else _as_text(found, out))
    return 0 if found.passed else CHECK_FAILED


def _require_new(out: Path, points: Path | None, points_out: Path | None) -> None:
    from rt4d.errors import InputError

    if (points is None) != (points_out is None):
        raise InputError("Points need a file to read and one to write", do="Give both --points and --points-out")
    for path in filter(None, (out, points_out)):
        if path.exists():
            raise InputError("A result is there already", where=path, do="Give a new file name")
        if not path.absolute().parent.is_dir():
            raise InputError("The folder for a result is not there", where=path.parent, do="Make it first")


def _read(path: Path, show: Progress) -> Volume:
    from rt4d.dicom.series import read_ct
    from rt4d.images import read_volume

    return read_ct(path, progress=show).volume if path.is_dir() else read_volume(path)


def _read_points(path: Path) -> Floats:
    """The points of a CSV file, shape (n, 3); refused by line where one is no point."""
    import numpy as np

    from rt4d.errors import InputError, NotFoundError

    if not path.is_file():
        raise NotFoundError("No such file of points", where=path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    if not rows or [name.strip().lower() for name in rows[0]] != HEADER:
        found = ",".join(rows[0]) if rows else "nothing"
        raise InputError("A file of points begins with its header", where=path, expected=",".join(HEADER), found=found)
    points = []
    for line, row in enumerate(rows[1:], start=2):
        try:
            x, y, z = (float(value) for value in row)
        except ValueError as error:
            raise InputError("A line is no point", where=f"{path}, line {line}", expected="three numbers", found=",".join(row)) from error
        points.append((x, y, z))
    array = np.array(points, dtype=float).reshape(-1, 3)
    if not np.isfinite(array).all():
        raise InputError("A point is not finite", where=path)
    return array


def _write_points(path: Path, points: Floats) -> None:
    """The points as CSV, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows([f"{value:.4f}" for value in point] for point in points)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _summary(found: Registration) -> dict[str, Any]:
    told = ("name", "value", "limit", "verdict", "sentence")
    checks = [{name: getattr(check, name) for name in told} for check in found.checks]
    return {
        "schema": "rt4d.registration/1",
        "recipe": {"name": found.recipe.name, "sha256": found.recipe.sha256},
        "shift_mm": list(found.shift_mm),
        "verdict": "pass" if found.passed else "fail",
        "checks": checks,
    }


def _as_text(found: Registration, out: Path) -> str:
    lines = [f"  {check.verdict:<5} {check.sentence}" for check in found.checks]
    x, y, z = found.shift_mm
    return "\n".join([f"Lungs lie x {x:+.1f}, y {y:+.1f}, z {z:+.1f} mm apart", *lines, f"Written to {out}", ""])
