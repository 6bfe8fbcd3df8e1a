"""Bundles for tests: real folders with a real, small, untrained network; and stand-ins for networks, that know the answer from the HU."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rt4d.geometry import Geometry
from rt4d.provenance import sha256
from rt4d.segmentation.bundle import Bundle, Coarse, Fine
from rt4d.segmentation.space import Space
from rt4d.volumes import Volume

if TYPE_CHECKING:
    import torch

FILTERS = (4, 4, 4)


def settings(**changed: Any) -> dict[str, Any]:
    """The section "rt4d" of a bundle's metadata.json, but for its members."""
    return {
        "spacing_mm": 2.5,
        "window_hu": [-1000, 400],
        "patch": [32, 32, 32],
        "overlap": 0.5,
        "threshold": 0.5,
        "threshold_at_point": 0.5,
        "faint_threshold": 0.5,
        "candidate_score": 0.5,
        "smallest_cm3": 0.2,
        "coarse": None,
        "fine": None,
    } | changed


def write_bundle(folder: Path, *, members: int = 1, **changed: Any) -> Path:
    """A bundle's folder with untrained members of fixed seeds."""
    import torch

    from rt4d.segmentation.network import build, definition, save_weights

    for part in ("configs", "models"):
        (folder / part).mkdir(parents=True)
    network = definition(filters=FILTERS)
    files = [f"models/fold{n}.pt" for n in range(members)]
    for seed, file in enumerate(files):
        torch.manual_seed(seed)
        save_weights(build(network), folder / file)
    said = settings(**changed) | {"members": files, "sha256": {file: sha256(folder / file) for file in files}}
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "0.0.1", "rt4d": said}), encoding="utf-8")
    (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": network}), encoding="utf-8")
    return folder


def change(folder: Path, file: str, **keys: Any) -> None:
    """Set keys of the section "rt4d" (metadata.json) or of the file itself; None takes one away."""
    path = folder / "configs" / file
    content = json.loads(path.read_text(encoding="utf-8"))
    place = content["rt4d"] if file == "metadata.json" else content
    for key, value in keys.items():
        place.pop(key, None)
        if value is not None:
            place[key] = value
    path.write_text(json.dumps(content), encoding="utf-8")


COARSE = {"spacing_mm": 4.0, "from_cm3": 20.0, "known_from": 0.15, "known_to": 0.5, "score_share": 0.35}
FINE = {"spacing_mm": 1.8, "overlap": 0.25, "to_cm3": 8.0, "share": 0.5}


def a_coarser_look(**changed: float) -> Coarse:
    return Coarse(**COARSE | changed)


def a_finer_look(**changed: float) -> Fine:
    return Fine(**FINE | changed)


def a_bundle(**changed: Any) -> Bundle:
    """A bundle's value without a folder, for stand-ins."""
    values: dict[str, Any] = {
        "name": "stand_in",
        "space": Space(spacing_mm=2.5, window_hu=(-1000.0, 400.0)),
        "patch_voxels": (32, 32, 32),
        "overlap": 0.5,
        "threshold": 0.5,
        "threshold_at_point": 0.5,
        "faint_threshold": 0.5,
        "candidate_score": 0.5,
        "smallest_cm3": 0.2,
        "coarse": None,
        "fine": None,
        "network_definition": {},
        "members": (Path("none.pt"),),
        "sha256": "0" * 64,
    }
    return Bundle(**values | changed)


def tissue(patches: torch.Tensor) -> torch.Tensor:
    """A stand-in for a network: tumour is what is denser than -300 HU, half-way between lung and tissue; the logit says by how much."""
    import torch

    logit = 40 * (patches[:, :1].float() - 0.5)
    return torch.cat([-logit / 2, logit / 2], dim=1)


def always(share: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """A stand-in that gives every voxel the same probability."""
    import torch

    return lambda patches: torch.tensor([1 - share, share]).log().reshape(1, 2, 1, 1, 1).expand(len(patches), 2, *patches.shape[2:])


def balls(geometry: Geometry, places: Sequence[tuple[Sequence[float], float]], *, hu: float = 50.0, around: float = -650.0) -> Volume:
    """A CT of lung with balls of tissue (centre in mm, radius in mm) in it, each voxel by its share."""
    centres = geometry.centres()
    inside = np.zeros(geometry.shape)
    for centre, radius in places:
        inside = np.maximum(inside, np.clip((radius - np.linalg.norm(centres - centre, axis=-1)) / min(geometry.spacing_mm) + 0.5, 0, 1))
    return Volume((around + (hu - around) * inside).astype(np.float32), geometry)
