"""The files that the main job leaves: structure set, masks, summary, report, provenance, a scene for 3D Slicer, and projections as DICOM series.

The DICOM files carry the patient's identity, or no planning system would take them. Nothing else does: no name, number or date from the
headers, no file name and no path; the report's head alone holds name and ID where that was asked for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import reduce
from pathlib import Path
from typing import Any

from rt4d import provenance
from rt4d.dicom.roi_names import named
from rt4d.dicom.structures import write_rtstruct
from rt4d.errors import ContourError
from rt4d.images import write_mask
from rt4d.motion.recipe import without_path
from rt4d.patient import ItvResult, TargetResult
from rt4d.phases import CtImage
from rt4d.rois import Progress, Roi
from rt4d.segmentation.files import to_dict
from rt4d.segmented import SegmentedPhase
from rt4d.target import ITV, projections
from rt4d.volumes import Mask

SUMMARY_SCHEMA = "rt4d.summary/1"
RUN_SCHEMA = "rt4d.run/1"
PROJECTIONS = {"average": ("Average of phases", "AVERAGE"), "MIP": ("MIP of phases", "MAX_IP"), "minimum": ("Minimum of phases", "MIN_IP")}
OTHER_VOLUME = 0.05
"""By so much an ITV may be larger or smaller on the planning CT's slices without a note."""

_NAMING = {
    re.compile(r"(Left out of the phases: ).*\((\d+ slices), .*\)(, [a-z ]+\.)", re.DOTALL): r"\1\2\3",
    re.compile(r", for example .+ of .+(?=\.$)", re.DOTALL): "",
}
"""Where the notes on a 4D-CT tell files and series by name, and what is left of them without."""


def deliver(result: ItvResult, folder: Path, *, watch: provenance.Stopwatch, progress: Progress | None = None) -> dict[str, Any]:
    """Write everything into `folder` and return what stands in summary.json."""
    with watch.stage("write"):
        written = _write_structures(result, folder)
        summary = summarise(result, written=written)
        _write_masks(result, folder, progress=progress)
        _write_scene(result, folder / "slicer")
        _write_json(folder / "summary.json", summary)
        if result.request.projections:
            _write_projections(result, folder)
    with watch.stage("report"):
        from rt4d.report import write_report

        write_report(folder / "report.html", result, summary)
    _write_json(folder / "run.json", run_record(result, folder, watch=watch))
    return summary


def summarise(result: ItvResult, *, written: Sequence[ITV] = ()) -> dict[str, Any]:
    """The contract of summary.json: targets with volumes, centroids, amplitude and checks; the checks of all once more in one list.

    written: the targets as they are on the planning CT's slices, where there is one.
    """
    targets = [_summarise_target(target) for target in result.targets]
    for target, itv in zip(targets, written, strict=False):
        target["planning_volume_cm3"] = _rounded(itv.volume_cm3)
    return {
        "schema": SUMMARY_SCHEMA,
        "reference": result.ct.reference_label,
        "phases": list(result.ct.labels),
        "verdict": "pass" if result.passed else "fail",
        "targets": targets,
        "checks": [{"target": target["name"]} | check for target in targets for check in target["checks"]],
        "segmentation": None if result.segmentation is None else to_dict(result.segmentation, on="reference", reference=result.ct.reference_label),
        "notes": [_without_names(note, result) for note in [*result.notes, *_other_volumes(targets)]],
    }


def _other_volumes(targets: Sequence[dict[str, Any]]) -> list[str]:
    """What the planning system will show otherwise than the report: volumes that the planning CT's slices change."""
    notes = []
    for target in targets:
        here, there = target["volume_cm3"]["ITV"], target.get("planning_volume_cm3", {}).get("ITV")
        if there is not None and abs(there - here) > OTHER_VOLUME * here:
            notes.append(f"{target['name']} has {there:.2f} cm³ on the slices of the planning CT, {here:.2f} cm³ on those of the 4D-CT")
    return notes


def _without_names(note: str, result: ItvResult) -> str:
    """A note as it may leave the folder: people name files, and now and then series, after patients."""
    for path in result.request.gtv:
        note = note.replace(path.name, "the structure set")
    for words, said in _NAMING.items():
        note = words.sub(said, note)
    return note[:1].upper() + note[1:]


def _summarise_target(target: TargetResult) -> dict[str, Any]:
    itv, mip = target.itv, target.mip
    return {
        "name": itv.name,
        "roi": target.drawn.name,
        "source": target.drawn.source,
        "verdict": "pass" if target.passed else "fail",
        "volume_cm3": _rounded(itv.volume_cm3),
        "centroid_mm": {label: [_tidy(v) for v in centroid] for label, centroid in itv.centroid_mm.items()},
        "amplitude_mm": _rounded(itv.amplitude_mm),
        "adds_cm3": _rounded(itv.adds_cm3),
        "mid_ventilation": itv.mid_ventilation,
        "drawn": [label for label in itv.phases if label in target.drawn.masks],
        "failed": dict(itv.failed),
        "segmented": None if target.segmented is None else {label: _segmented_dict(one) for label, one in target.segmented.items()},
        "mip_cross_check": {
            "applies": mip.applies,
            "why": mip.why,
            "threshold_hu": _tidy(mip.threshold_hu),
            "volume_cm3": _tidy(mip.volume_cm3),
            "dice": _tidy(mip.dice),
        },
        "checks": [
            {
                "phase": check.phase,
                "name": check.name,
                "value": _tidy(check.value),
                "limit": _tidy(check.limit),
                "verdict": check.verdict,
                "sentence": check.sentence,
            }
            for check in target.checks
        ],
    }


def _segmented_dict(one: SegmentedPhase | None) -> dict[str, float | None] | None:
    return None if one is None else _rounded(asdict(one))


def run_record(result: ItvResult, folder: Path, *, watch: provenance.Stopwatch) -> dict[str, Any]:
    """What run.json holds: enough to know what was done to what, and to see whether a file was changed since."""
    request = result.request
    return {
        "schema": RUN_SCHEMA,
        "finished": provenance.now(),
        "versions": provenance.versions(),
        "options": {
            "roi": list(request.roi),
            "point_mm": request.point_mm,
            "keep": list(request.keep),
            "reference": result.ct.reference_label,
            "recipe": without_path(request.recipe),
            "whole_lung": request.whole_lung,
            "margin_mm": request.margin_mm,
            "planning": request.planning is not None,
            "names": request.names,
            "name_patient": request.name_patient,
            "segment_phases": request.segment_phases,
            "assume_same_frame": request.assume_same_frame,
            "interpolate": request.interpolate,
        },
        "inputs": provenance.input_record(result.ct, structure_sets=list(request.gtv), planning=result.planning),
        "recipe": {"name": result.targets[0].motion.recipe.name, "sha256": result.targets[0].motion.recipe.sha256},
        "model": None if result.model is None else {"name": result.model.name, "sha256": result.model.sha256},
        "seconds": watch.seconds,
        "peak_memory_mib": provenance.peak_memory_mib(),
        "cores": provenance.cores(),
        "outputs": provenance.folder_hashes(folder),
    }


def _write_structures(result: ItvResult, folder: Path) -> list[ITV]:
    """One structure set with every target's phase GTVs, ITV and PTV, on the reference phase or the planning CT; the targets as they are there."""
    on: CtImage = result.planning or result.ct.reference
    targets = [target.itv for target in result.targets]
    if result.planning is not None:
        targets = [itv.on(result.planning.geometry) for itv in targets]
    rois: list[Roi] = [roi for itv in targets for roi in itv.rois]
    if lost := [roi.name for roi in rois if roi.mask.is_empty]:
        raise ContourError("A volume is too small for the planning CT's slices", found=", ".join(lost), do="Plan on a CT with thinner slices")
    write_rtstruct(folder / "rtstruct.dcm", on=on, rois=rois, label="rt4d ITV", names=result.request.names)
    return targets if result.planning is not None else []


def _write_scene(result: ItvResult, folder: Path) -> None:
    """What 3D Slicer opens, with the names of the structure set."""
    from rt4d.slicer import write_scene

    rois = [roi for target in result.targets for roi in target.itv.rois]
    names = named([roi.name for roi in rois], result.request.names)
    write_scene(folder, result.ct, rois=[replace(roi, name=name) for roi, name in zip(rois, names, strict=True)])


def _write_masks(result: ItvResult, folder: Path, *, progress: Progress | None) -> None:
    """itv and gtv_<label> of all targets together, and with several targets each one's own (itv1, gtv1_<label>)."""
    targets = [target.itv for target in result.targets]
    files: dict[str, Mask] = {"itv": reduce(Mask.__or__, (itv.mask for itv in targets))}
    for label in result.ct.labels:
        if all(label in itv.phases for itv in targets):
            files[f"gtv_{label}"] = reduce(Mask.__or__, (itv.phases[label] for itv in targets))
    if len(targets) > 1:
        files |= {itv.name.lower(): itv.mask for itv in targets}
        files |= {f"gtv{itv.number}_{label}": mask for itv in targets for label, mask in itv.phases.items()}
    with ThreadPoolExecutor(max_workers=provenance.cores()) as pool:
        written = [pool.submit(write_mask, folder / f"{name}.nii.gz", mask) for name, mask in files.items()]
        for done, task in enumerate(written, start=1):
            task.result()
            if progress is not None:
                progress("writing", done, len(written))


def _write_projections(result: ItvResult, folder: Path) -> None:
    from rt4d.dicom.ct_writer import derived_identity, write_ct_series

    reference = result.ct.reference
    for number, (name, volume) in enumerate(projections(result.ct).items()):
        description, kind = PROJECTIONS[name]
        identity = derived_identity(reference.identity, description=description)
        write_ct_series(
            CtImage(volume, identity),
            folder / name.lower(),
            series_description=description,
            image_type=("DERIVED", "SECONDARY", "AXIAL", kind),
            series_number=9001 + number,
        )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf8")


def _rounded(numbers: dict[str, float]) -> dict[str, float | None]:
    return {name: _tidy(value) for name, value in numbers.items()}


def _tidy(value: float | None) -> float | None:
    """Four decimals, far below what matters; null where undefined."""
    return None if value is None or not math.isfinite(value) else round(float(value), 4)
