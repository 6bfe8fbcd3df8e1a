"""The record of a commissioning: commission.json with its own fingerprint, the pictures, the report; and whether such a folder is as it was made.

The fingerprint is the SHA-256 of the record's canonical JSON without it (keys sorted, no spaces, UTF-8). It shows that nothing was changed
since; it does not show who made it, for which a clinic signs the fingerprint by its own means.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rt4d import provenance
from rt4d.commissioning.measures import MEASURES
from rt4d.commissioning.running import CaseResult, Commissioning
from rt4d.errors import InputError, NotFoundError
from rt4d.motion import Recipe
from rt4d.phases import CtImage

SCHEMA = "rt4d.commission/1"
RECORD, REPORT, FIGURES = "commission.json", "report.html", "figures"


def write_record(found: Commissioning, folder: Path, *, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    """What stands in commission.json, which is written into the folder with figures/*.png and report.html. inputs: of `input_record`."""
    from rt4d.report.commission import write_commission_report

    (folder / FIGURES).mkdir()
    for number, result in enumerate(found.results, start=1):
        if result.picture:
            (folder / FIGURES / _picture_name(number)).write_bytes(result.picture)
    body = _body(found, provenance.folder_hashes(folder), inputs)
    record = body | {"sha256": fingerprint(body)}
    (folder / RECORD).write_text(json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf8")
    write_commission_report(folder / REPORT, record, [result.picture for result in found.results])
    return record


def fingerprint(record: dict[str, Any]) -> str:
    """The SHA-256, in hexadecimal, of a record's canonical JSON without its own fingerprint."""
    body = {key: value for key, value in record.items() if key != "sha256"}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf8")).hexdigest()


def verify(folder: str | Path) -> tuple[str, ...]:
    """What of a commissioning's folder is not as it was made, in words; nothing where all is. The report itself is not covered.

    Raises NotFoundError where there is no record, InputError where it is none.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        raise NotFoundError("No record of a commissioning is here", where=path)
    try:
        record = json.loads(path.read_text(encoding="utf8"))
        told, files = record["sha256"], record["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("This is no record of a commissioning", where=path, expected=f"JSON of the schema {SCHEMA}", found=error) from error
    found = [] if fingerprint(record) == told else [f"{RECORD} was changed: its fingerprint is {fingerprint(record)}, it says {told}"]
    for name, expected in files.items():
        file = Path(folder) / name
        if not file.resolve().is_relative_to(Path(folder).resolve()) or not file.is_file():
            found.append(f"{name} is missing")
        elif provenance.sha256(file) != expected:
            found.append(f"{name} was changed")
    return tuple(found)


def input_record(ct: CtImage, contours: Path, roi: str, *, resampled: bool) -> dict[str, Any]:
    """The clinic's own CT and contour by UID and hash; no names of patients, no paths."""
    return {
        "series_uid": ct.identity.series_uid,
        "structure_set_sha256": provenance.sha256(contours),
        "roi": roi,
        "size": list(ct.geometry.size),
        "spacing_mm": list(ct.geometry.spacing_mm),
        "resampled": resampled,
    }


def _body(found: Commissioning, files: dict[str, str], inputs: dict[str, Any] | None) -> dict[str, Any]:
    used = [result.recipe for result in found.results if result.recipe is not None]
    recipes = sorted({(recipe.name, recipe.sha256) for recipe in used})
    return {
        "schema": SCHEMA,
        "finished": provenance.now(),
        "verdict": "pass" if found.passed else "fail",
        "versions": provenance.versions(),
        "recipes": [{"name": name, "sha256": sha256} for name, sha256 in recipes],
        "recipe_files": _recipe_files(used),
        "tolerances": found.tolerances.to_dict(),
        "measures": {name: {"title": measure.title, "unit": measure.unit} for name, measure in MEASURES.items()},
        "inputs": inputs,
        "cases": [_case(number, result) for number, result in enumerate(found.results, start=1)],
        "seconds": round(found.seconds, 1),
        "cores": provenance.cores(),
        "files": files,
    }


def _recipe_files(used: Iterable[Recipe]) -> dict[str, str]:
    """The hash of each file that the recipes were read from, by recipe and file; a folder's path is not told."""
    return {f"{recipe.name}/{file}": sha256 for recipe in used for file, sha256 in recipe.files.items()}


def _case(number: int, result: CaseResult) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "kind": result.case.kind,
        "purpose": result.case.purpose,
        "verdict": result.verdict,
        "figures": {name: _tidy(result.figures.get(name)) for name in result.measures},
        "verdicts": result.verdicts if result.made else {},
        "failed_checks": [{"phase": check.phase, "name": check.name, "sentence": check.sentence} for check in result.failed_checks],
        "sabotaged": list(result.case.sabotaged),
        "error": result.error,
        "parameters": result.parameters,
        "seconds": round(result.seconds, 1),
        "picture": f"{FIGURES}/{_picture_name(number)}" if result.picture else None,
    }


def _picture_name(number: int) -> str:
    return f"case_{number:02d}.png"


def _tidy(value: float | None) -> float | None:
    """Four decimals; null where undefined."""
    return None if value is None or not math.isfinite(value) else round(float(value), 4)
