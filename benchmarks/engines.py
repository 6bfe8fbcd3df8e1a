"""One registration by one engine, as a process of its own, so that its time and memory can be watched from outside.

    python benchmarks/engines.py ENGINE FOLDER

FOLDER holds reference.mha, phase.mha (HU) and gtv.mha (on the reference); what comes out is FOLDER/ENGINE.mha: the displacement that takes a
point of the reference to where it lies in the phase, LPS mm. Peers run as their own documentation shows, at their defaults unless said here;
none was tuned, and neither was rt4d on these pairs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from peers import PLASTIMATCH, demons, run

from rt4d import track
from rt4d.images import read_mask, read_volume, write_field
from rt4d.motion.pairs import register
from rt4d.phases import FourDCT, Phase, SeriesIdentity

ALIGNED = "[STAGE]\nxform=align_center\n"
APART_MM = 20.0
AIR_HU = -1000.0


def focus(folder: Path) -> None:
    """rt4d's recipe for an ITV: around the GTV alone."""
    _tracked(folder, "lung_focus", whole_lung=False)


def lungs(folder: Path) -> None:
    """rt4d's recipe for both lungs of a 4D-CT."""
    _tracked(folder, "lung_4dct", whole_lung=True)


def pair(folder: Path) -> None:
    """`rt4d register`: two scans on any grids and couches."""
    write_field(folder / "pair.mha", register(read_volume(folder / "reference.mha"), read_volume(folder / "phase.mha")).field)


def _tracked(folder: Path, recipe: str, *, whole_lung: bool) -> None:
    names = {"50": "reference.mha", "00": "phase.mha"}
    identity = SeriesIdentity("1.2", "1.2.1", "1.2.840.10008.5.1.4.1.1.2", ())
    ct = FourDCT(tuple(Phase(read_volume(folder / names[label]), identity, label) for label in ("00", "50")), "50")
    motion = track(ct, focus=read_mask(folder / "gtv.mha"), recipe=recipe, whole_lung=whole_lung)
    write_field(folder / f"{'lungs' if whole_lung else 'focus'}.mha", motion.fields["00"])


def plastimatch(folder: Path) -> None:
    """B-spline in two stages, mean squares; centres laid over one another first where the images stand apart."""
    fixed, moving = _images(folder)
    apart = np.linalg.norm(np.subtract(_centre(fixed), _centre(moving))) > APART_MM
    files = {"fixed": folder / "reference.mha", "moving": folder / "phase.mha", "field": folder / "plastimatch.mha"}
    job = folder / "plastimatch.txt"
    job.write_text((PLASTIMATCH.replace("[STAGE]", f"{ALIGNED}\n[STAGE]", 1) if apart else PLASTIMATCH).format(**files))
    run("plastimatch", "register", job)


def simpleitk_demons(folder: Path) -> None:
    """SimpleITK's symmetric-forces demons at half and full resolution; it begins where the images lie."""
    fixed, moving = _images(folder)
    found = demons(fixed, sitk.Resample(moving, fixed, sitk.Transform(), sitk.sitkLinear, AIR_HU)).GetDisplacementField()
    sitk.WriteImage(sitk.Cast(found, sitk.sitkVectorFloat32), str(folder / "simpleitk_demons.mha"))


def convexadam(folder: Path) -> None:
    """convexAdam with MIND features, its defaults; it begins where the images lie."""
    from convexAdam.convex_adam_MIND import convex_adam_pt

    fixed, moving = _images(folder)
    arrays = [sitk.GetArrayFromImage(image) for image in (fixed, sitk.Resample(moving, fixed, sitk.Transform(), sitk.sitkLinear, AIR_HU))]
    along = convex_adam_pt(*arrays)[..., ::-1] * np.array(fixed.GetSpacing())
    field = sitk.GetImageFromArray((along @ np.array(fixed.GetDirection()).reshape(3, 3).T).astype(np.float32), isVector=True)
    field.CopyInformation(fixed)
    sitk.WriteImage(field, str(folder / "convexadam.mha"))


def ants_syn(folder: Path) -> None:
    """ANTsPy's SyN: affine, then symmetric normalisation, its defaults."""
    import ants

    fixed, moving = (ants.image_read(str(folder / f"{name}.mha")) for name in ("reference", "phase"))
    found = ants.registration(fixed, moving, type_of_transform="SyN", outprefix=str(folder / "ants_"))
    whole = ants.apply_transforms(fixed, moving, found["fwdtransforms"], compose=str(folder / "ants_whole_"))
    sitk.WriteImage(sitk.Cast(sitk.ReadImage(whole), sitk.sitkVectorFloat32), str(folder / "ants_syn.mha"))


def _images(folder: Path) -> tuple[sitk.Image, sitk.Image]:
    fixed, moving = (sitk.ReadImage(str(folder / f"{name}.mha"), sitk.sitkFloat32) for name in ("reference", "phase"))
    return fixed, moving


def _centre(image: sitk.Image) -> tuple[float, ...]:
    return tuple(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))


ENGINES: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (focus, lungs, pair, plastimatch, convexadam, simpleitk_demons, ants_syn)
}

if __name__ == "__main__":
    ENGINES[sys.argv[1]](Path(sys.argv[2]))
