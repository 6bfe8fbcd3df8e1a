"""The MONAI bundle that a training leaves: network and weights, what it was made of, what was measured, and how MONAI alone runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rt4d import __version__
from rt4d.outputs import whole_folder
from rt4d.provenance import sha256
from rt4d.segmentation.network import definition
from rt4d.segmentation.training.card import card
from rt4d.segmentation.training.folds import Split
from rt4d.segmentation.training.options import Options

META_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
THRESHOLDS = {
    "overlap": 0.5,
    "threshold": 0.5,
    "threshold_at_point": 0.5,
    "faint_threshold": 0.15,
    "candidate_score": 0.5,
    "smallest_cm3": 0.2,
    "coarse": None,
    "fine": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What goes into a bundle: each member with its split, file of weights and curve (CSV), the options, the measured figures, the licence.

    start: the weights that all members began from, as `Start.told` tells them.
    """

    name: str
    options: Options
    splits: Sequence[Split]
    weights: Sequence[Path]
    curves: Mapping[str, str]
    figures: Mapping[str, Any]
    licence: str
    start: Mapping[str, Any] | None = None


def write_bundle(out: Path, trained: Trained) -> Path:
    """Write the bundle's folder, new or empty, whole or not at all; the path. Raises OutputError where the disk is full."""
    with whole_folder(out.absolute()) as folder:
        for part in ("configs", "docs", "models"):
            (folder / part).mkdir()
        members = [f"models/{split.member}.pt" for split in trained.splits]
        for member, path in zip(members, trained.weights, strict=True):
            shutil.copyfile(path, folder / member)
        _write_json(folder / "configs/metadata.json", _metadata(trained, {member: sha256(folder / member) for member in members}))
        _write_json(folder / "configs/inference.json", inference(trained.options, members))
        _write_json(folder / "configs/train.json", _training(trained))
        _write_json(folder / "docs/figures.json", trained.figures)
        (folder / "docs/curves.csv").write_text(_all_curves(trained.curves), encoding="utf-8")
        (folder / "docs/README.md").write_text(card(folder), encoding="utf-8")
        (folder / "LICENSE").write_text(trained.licence + "\n", encoding="utf-8")
    return out


def _metadata(trained: Trained, digests: Mapping[str, str]) -> dict[str, Any]:
    import monai
    import numpy as np
    import torch

    options = trained.options
    image = {"type": "image", "format": "hounsfield", "modality": "CT", "dtype": "float32", "spatial_shape": ["16*n"] * 3}
    channels = {"0": "CT, windowed to [0, 1]", "1": "click: exp(-d²/(2·5²)) of the distance in mm, or zeros"}
    shown = image | {"num_channels": 2, "value_range": [0, 1], "is_patch_data": True, "channel_def": channels}
    said = shown | {"format": "segmentation", "value_range": [], "channel_def": {"0": "background", "1": "GTV"}}
    return {
        "schema": META_SCHEMA,
        "version": "0.1.0",
        "changelog": {"0.1.0": "First weights"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"itk": "5.4.0"},
        "name": trained.name,
        "task": "Segmentation of gross tumour volumes in the lung on CT",
        "description": "3D U-Net that marks lung tumours on CT: all of them, or the one that was clicked. Made with rt4d.",
        "authors": "The rt4d developers",
        "copyright": trained.licence.splitlines()[0],
        "intended_use": "Research; not for clinical use without local commissioning",
        "network_data_format": {"inputs": {"image": shown}, "outputs": {"pred": said}},
        "rt4d": {
            "spacing_mm": options.spacing_mm,
            "window_hu": list(options.window_hu),
            "patch": [options.patch] * 3,
            **THRESHOLDS,
            "members": list(digests),
            "sha256": dict(digests),
        },
    }


def inference(options: Options, members: Sequence[str]) -> dict[str, Any]:
    """The configuration with which MONAI alone runs the bundle: `python -m monai.bundle run --config_file configs/inference.json --input CT.nii.gz`.

    It writes where the mean of the members' probabilities says GTV, as a mask on the CT's own grid. rt4d itself reads `network_def` only.
    """
    low, high = options.window_hu
    transforms = [
        {"_target_": "LoadImage", "reader": "ITKReader", "image_only": True, "ensure_channel_first": True},
        {"_target_": "Orientation", "axcodes": "LPS", "labels": [["L", "R"], ["P", "A"], ["I", "S"]]},
        {"_target_": "Spacing", "pixdim": [options.spacing_mm] * 3, "mode": "bilinear"},
        {"_target_": "ScaleIntensityRange", "a_min": low, "a_max": high, "b_min": 0.0, "b_max": 1.0, "clip": True},
    ]
    loaded = "(@network_def.load_state_dict(torch.load(file, map_location='cpu', weights_only=True), strict=False), @network_def.eval())[1]"
    back = "monai.data.MetaTensor(@probability[0, 1:].permute(0, 3, 2, 1), meta=@image.meta, applied_operations=@image.applied_operations)"
    return {
        "imports": ["$import torch", "$import monai"],
        "bundle_root": ".",
        "input": "ct.nii.gz",
        "output_dir": "$@bundle_root + '/eval'",
        "network_def": definition(filters=options.filters),
        "members": [f"$@bundle_root + '/{member}'" for member in members],
        "preprocessing": {"_target_": "Compose", "transforms": transforms},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [options.patch] * 3,
            "overlap": THRESHOLDS["overlap"],
            "mode": "gaussian",
        },
        "image": "$@preprocessing(@input)",
        "ct": "$@image.as_tensor().permute(0, 3, 2, 1)[None]",
        "channels": "$torch.cat([@ct, torch.zeros_like(@ct)], 1)",
        "answers": f"$[torch.softmax(torch.no_grad()(@inferer)(@channels, {loaded}), 1) for file in @members]",
        "probability": "$torch.stack(@answers).mean(0)",
        "on_the_ct": f"$@preprocessing.inverse({back})",
        "saver": {
            "_target_": "SaveImage",
            "output_dir": "@output_dir",
            "output_postfix": "gtv",
            "output_dtype": "$torch.uint8",
            "separate_folder": False,
        },
        "run": [f"$@saver(@on_the_ct > {THRESHOLDS['threshold']})"],
    }


def _training(trained: Trained) -> dict[str, Any]:
    """What was trained on what, so that it can be done again and gone on with."""
    lists = {
        split.member: {"train": [path.name for path in split.train], "held_back": [path.name for path in split.held_back]} for split in trained.splits
    }
    told = {"made_with": f"rt4d {__version__}", "options": trained.options.to_dict(), "from": trained.start}
    return told | {"members": lists, "curves": "docs/curves.csv"}


def _all_curves(curves: Mapping[str, str]) -> str:
    """The members' curves in one table."""
    lines: list[str] = []
    for member, text in curves.items():
        header, *rows = text.splitlines()
        lines = lines or [f"member,{header}"]
        lines += [f"{member},{row}" for row in rows]
    return "\n".join(lines) + "\n"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
