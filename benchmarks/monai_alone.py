"""What a user has without rt4d, for `segmentation.py speed`: the same network on the whole CT with MONAI's sliding window, one mask written.

    python benchmarks/monai_alone.py CT.nii.gz OUT.nii.gz
"""

from __future__ import annotations

import json
import sys

import SimpleITK as sitk
import torch
from monai.inferers.utils import sliding_window_inference
from monai.networks.nets.dynunet import DynUNet

from rt4d.resources import data_folder


def main() -> None:
    ct, out = sys.argv[1:]
    bundle = data_folder("models") / "gtv_lung"
    told = json.loads((bundle / "configs/metadata.json").read_text(encoding="utf-8"))["rt4d"]
    definition = json.loads((bundle / "configs/inference.json").read_text(encoding="utf-8"))["network_def"]
    network = DynUNet(**{name: value for name, value in definition.items() if name != "_target_"})
    network.load_state_dict(torch.load(bundle / told["members"][0], weights_only=True), strict=False)
    image = sitk.ReadImage(ct, sitk.sitkFloat32)
    size = [round(n * mm / told["spacing_mm"]) for n, mm in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    spacing, identity = [told["spacing_mm"]] * 3, sitk.Transform()
    small = sitk.Resample(image, size, identity, sitk.sitkLinear, image.GetOrigin(), spacing, image.GetDirection(), -1000.0)
    low, high = told["window_hu"]
    hu = torch.from_numpy(sitk.GetArrayFromImage(small))
    channels = torch.stack([((hu - low) / (high - low)).clamp(0, 1), torch.zeros_like(hu)])[None]
    with torch.inference_mode():
        answer = sliding_window_inference(channels, told["patch"][::-1], 4, network.eval(), overlap=told["overlap"], mode="gaussian")
        chance = torch.softmax(answer, dim=1)[0, 1].numpy()
    there = sitk.GetImageFromArray(chance)
    there.CopyInformation(small)
    mask = sitk.Resample(there, image, identity, sitk.sitkLinear, 0.0) >= told["threshold"]
    sitk.WriteImage(mask, out, useCompression=True, compressionLevel=1)


if __name__ == "__main__":
    main()
