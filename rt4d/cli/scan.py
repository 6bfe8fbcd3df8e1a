"""rt4d scan: what is in a folder, before anything is made of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rt4d.dicom.inventory import Scan


def scan(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to look through, with all folders in it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> int:
    """What is here: series, phases, structure sets and their ROIs, problems. Nothing is changed; no patient is named."""
    from rt4d.cli.screen import progress
    from rt4d.dicom.inventory import scan as scan_folder

    with progress() as show:
        found = scan_folder(folder, progress=show)
    sys.stdout.write(json.dumps(found.to_dict(), indent=2) + "\n" if as_json else as_text(found))
    return 0


def as_text(found: Scan) -> str:
    """The scan as a person reads it in a terminal."""
    lines = [f"{found.files} DICOM files, {found.others} others"]
    for ct in found.four_d_cts:
        reference = f", reference {ct.reference}" if ct.reference else ", no 50 % phase: name the --reference"
        lines += ["", f"4D-CT of {len(ct.labels)} phases: {' '.join(ct.labels)}{reference}", f"  {ct.grid}; told by {ct.told_by}; {ct.patient}"]
        lines += [f"  note: {note}" for note in ct.notes]
    if found.series:
        lines += ["", *_table(found.SERIES_COLUMNS, found.rows())]
    if found.structure_sets:
        lines += ["", *_table(found.STRUCTURE_COLUMNS, found.structure_rows())]
    lines += ["", *(f"note: {note}" for note in found.notes)] if found.notes else []
    lines += ["", *(f"problem: {problem}" for problem in found.problems)] if found.problems else []
    return "\n".join(lines) + "\n"


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    """Lines of left-aligned columns, as wide as what stands in them; empty columns are left out."""
    filled = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    cells = [[columns[i] for i in filled], *([str(row[i]) for i in filled] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(filled))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [lines[0], "-" * max(len(line) for line in lines), *lines[1:]]
