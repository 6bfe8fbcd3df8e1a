"""The same job with what users have today: every phase registered with the reference on the whole image, the mask warped, the union taken."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from rt4d.phases import FourDCT
from rt4d.volumes import Mask

PLASTIMATCH = """[GLOBAL]
fixed={fixed}
moving={moving}
vf_out={field}
default_value=-1000

[STAGE]
xform=bspline
optim=lbfgsb
impl=plastimatch
metric=mse
max_its=40
grid_spac=40 40 40
res=4 4 2

[STAGE]
max_its=40
grid_spac=15 15 15
res=2 2 1
"""


def with_plastimatch(ct: FourDCT, gtv: Mask, folder: Path, labels: Sequence[str]) -> dict[str, Mask]:
    """B-spline in two stages, mean squares; the mask warped linearly and cut at one half. labels: the phases to be registered."""
    reference, drawn = folder / "reference.mha", folder / "gtv.mha"
    sitk.WriteImage(_image(ct.reference.volume.hu.astype(np.float32), ct), str(reference))
    sitk.WriteImage(_image(gtv.inside.astype(np.float32), ct), str(drawn))
    masks = {ct.reference_label: gtv}
    for phase in (ct[label] for label in labels):
        image, field, warped, job = (folder / f"{phase.label}.{kind}" for kind in ("mha", "vf.mha", "warped.mha", "txt"))
        sitk.WriteImage(_image(phase.volume.hu.astype(np.float32), ct), str(image))
        job.write_text(PLASTIMATCH.format(fixed=image, moving=reference, field=field))
        run("plastimatch", "register", job)
        run("plastimatch", "warp", "--input", drawn, "--xf", field, "--output-img", warped, "--interpolation", "linear")
        masks[phase.label] = Mask(sitk.GetArrayFromImage(sitk.ReadImage(str(warped))) > 0.5, ct.geometry)
    return masks


def with_demons(ct: FourDCT, gtv: Mask, folder: Path, labels: Sequence[str]) -> dict[str, Mask]:
    """SimpleITK's symmetric-forces demons at half and full resolution, 30 iterations each, smoothed by 1.5 voxels. labels: as above."""
    del folder
    reference = _image(ct.reference.volume.hu.astype(np.float32), ct)
    drawn = _image(gtv.inside.astype(np.float32), ct)
    masks = {ct.reference_label: gtv}
    for label in labels:
        transform = demons(_image(ct[label].volume.hu.astype(np.float32), ct), reference)
        warped = sitk.Resample(drawn, drawn, transform, sitk.sitkLinear, 0.0)
        masks[label] = Mask(sitk.GetArrayFromImage(warped) > 0.5, ct.geometry)
    return masks


def demons(fixed: sitk.Image, moving: sitk.Image) -> sitk.DisplacementFieldTransform:
    """The transform that takes points of `fixed` to where they lie in `moving`."""
    field = None
    for factor in (2, 1):
        small_fixed, small_moving = (_shrunk(image, factor) for image in (fixed, moving))
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(30)
        demons.SetStandardDeviations(1.5)
        field = sitk.Resample(field, small_fixed) if field is not None else None
        field = demons.Execute(small_fixed, small_moving, field) if field is not None else demons.Execute(small_fixed, small_moving)
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


def _shrunk(image: sitk.Image, factor: int) -> sitk.Image:
    return image if factor == 1 else sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, 1.0), [factor, factor, 1])


def _image(array: np.ndarray, ct: FourDCT) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(ct.geometry.spacing_mm)
    image.SetOrigin(ct.geometry.origin_mm)
    image.SetDirection(ct.geometry.direction)
    return image


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
