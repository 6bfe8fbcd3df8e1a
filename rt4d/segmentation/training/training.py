"""From cases to a bundle: one member, or every fold's, trained, looked at on held-back scans, and written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rt4d.errors import InputError
from rt4d.outputs import require_new_folder
from rt4d.segmentation.cases import read_heading
from rt4d.segmentation.network import build, definition, load_weights
from rt4d.segmentation.training.began import require_same_cases, write_cases
from rt4d.segmentation.training.bundle_files import Trained, write_bundle
from rt4d.segmentation.training.card import already_learnt
from rt4d.segmentation.training.checkpoint import NAME
from rt4d.segmentation.training.devices import Place, place
from rt4d.segmentation.training.folds import Split, everybody, splits
from rt4d.segmentation.training.loop import Say, curve_csv, train_member
from rt4d.segmentation.training.options import Options
from rt4d.segmentation.training.start import Start, read_start
from rt4d.segmentation.training.validation import Looked, by_stratum, look_at_scan
from rt4d.segmentation.whole_files import write_file

ALL_FOLDS = "all folds"
HELD_BACK = "Held-back scans, by lesion size"
UNSTATED = "The licence of these weights is not stated: it is bound by that of the training data."


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Train on cases (their files) into a new bundle.

    fold: the one held back (0 …), None to train on everybody, ALL_FOLDS for every one in turn and an ensemble of them.
    work: folder for checkpoints. resume: go on from what is there. start: a bundle, weights or checkpoint to begin from.
    """

    cases: tuple[Path, ...]
    out: Path
    work: Path
    options: Options
    fold: int | str | None = 0
    resume: bool = False
    start: Path | None = None
    licence: str = UNSTATED


def train(request: Request, *, say: Say, workers: int | None = None) -> Path | None:
    """Train and write the bundle; its path (None in all but the first process of several).

    Refused (InputError) before anything is computed: no cases or of another spacing, too few patients, an output that is there, checkpoints
    of an earlier training without `resume`, none or those of other cases with it. Raises TrainingError where the loss is no number any
    more, OutputError where the disk is full.
    """
    out = require_new_folder(request.out)
    chosen = _chosen(request)
    options = request.options
    start = read_start(request.start, options) if request.start else None
    notes = _require_work(request, chosen, start)
    with place(mixed_precision=options.mixed_precision) as where:
        for note in notes if where.is_first else ():
            say(note)
        figures: dict[str, list[dict[str, Any]]] = {}
        curves = {}
        for split in chosen:
            folder = request.work / split.member
            progress = train_member(split, folder, options=options, where=where, start=start, say=say if where.is_first else _quiet, workers=workers)
            curves[split.member] = curve_csv(progress.curve)
            if where.is_first:
                figures[split.member] = _look(split, folder, options, where, say)
        if not where.is_first:
            return None
    weights = [request.work / split.member / f"{split.member}.pt" for split in chosen]
    trained = Trained(
        name=out.name,
        options=options,
        splits=chosen,
        weights=weights,
        curves=curves,
        figures=_figures(figures),
        licence=request.licence,
        start=start.told() if start else None,
    )
    return write_bundle(out, trained)


def _chosen(request: Request) -> Sequence[Split]:
    """The members to train."""
    paths = request.cases
    spacing_mm = request.options.spacing_mm
    for path in paths:
        if abs((found := read_heading(path).spacing_mm) - spacing_mm) > 1e-6:
            raise InputError("A case of other voxels than the network's", where=path, expected=f"{spacing_mm:g} mm", found=f"{found:g} mm")
    if request.fold is None:
        return [everybody(paths)]
    every = splits(paths, folds=request.options.folds, seed=request.options.seed)
    if request.fold == ALL_FOLDS:
        return every
    if not isinstance(request.fold, int) or not 0 <= request.fold < len(every):
        raise InputError("No such fold", expected=f"0 to {len(every) - 1}, or none", found=request.fold)
    return [every[request.fold]]


def require_begun(work: Path, members: Sequence[str] = ()) -> None:
    """Refuse (InputError) to go on where there is no checkpoint: of these members, or of any."""
    found = sorted(path.parent.name for path in work.glob(f"*/{NAME}"))
    if not (set(found) & set(members) if members else found):
        do = "Give the --out and --fold that it was begun with, or begin it without --resume"
        expected = f"checkpoints of {', '.join(members)}" if members else "checkpoints"
        raise InputError("There is no training to go on with", where=work, expected=expected, found=", ".join(found) or "none", do=do)


def _require_work(request: Request, chosen: Sequence[Split], start: Start | None) -> list[str]:
    """Refuse to begin anew over a training that can be gone on with, or to go on with none; and to go on with other cases. What is to be said."""
    work = request.work
    began = [split for split in chosen if (work / split.member / NAME).is_file()]
    if began and not request.resume:
        raise InputError("An earlier training is here", where=work, do="Give --resume to go on with it, or remove the folder")
    if request.resume:
        require_begun(work, [split.member for split in chosen])
    notes = [note for split in began if (note := require_same_cases(work / split.member, split))]
    for split in chosen:
        write_cases(work / split.member, split, start)
    return notes + [f"{split.member}: {known}" for split in chosen if start and (known := already_learnt(start.told(), split.held_back))]


def _quiet(_line: str) -> None:
    """What the processes say that do not speak."""


def _look(split: Split, folder: Path, options: Options, where: Place, say: Say) -> list[dict[str, Any]]:
    """What a member shows on held-back scans, one row per scan; kept in its folder, so that a resumed training need not look again."""
    path = folder / "scans.json"
    if path.is_file() and path.stat().st_mtime >= (folder / NAME).stat().st_mtime:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return rows
    network = load_weights(build(definition(filters=options.filters)), folder / f"{split.member}.pt").to(where.device)
    order = np.random.default_rng(options.seed).permutation(len(split.held_back))[: options.validation_scans]
    rows = []
    for number in order:
        lesions, false = look_at_scan(network, split.held_back[number], options=options, where=where)
        rows.append({"case": split.held_back[number].name, "false": false, "lesions": [_row(lesion) for lesion in lesions]})
    if rows:
        say(f"{split.member}: {_sentence(rows)}")
    write_file(path, json.dumps(rows).encode())
    return rows


def _row(lesion: Looked) -> dict[str, Any]:
    return {name: getattr(lesion, name) for name in Looked.__slots__}


def _sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    lesions = [lesion for row in rows for lesion in row["lesions"]]
    found = sum(lesion["is_found"] for lesion in lesions)
    false = sum(row["false"] for row in rows) / len(rows)
    return f"{found} of {len(lesions)} lesions found on {len(rows)} held-back scans, {false:.1f} false marks per scan"


def _figures(scans: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The card's sections from the held-back scans of all members."""
    rows = [row for each in scans.values() for row in each]
    if not rows:
        return {HELD_BACK: "All cases were learnt from: nothing was held back, so there are no figures of this kind."}
    looked = [Looked(**lesion) for row in rows for lesion in row["lesions"]]
    return {HELD_BACK: by_stratum(looked), "Held-back scans, together": [_sentence(rows)]}
