"""rt4d: from a respiratory 4D-CT to an internal target volume that a medical physicist can defend.

import rt4d
ct     = rt4d.read_4dct("patient/")
gtv    = rt4d.segment(ct.reference).primary                   # or rt4d.read_rtstruct("RS.dcm", on=ct.reference)["GTV"]
motion = rt4d.track(ct, focus=gtv)
itv    = rt4d.itv(motion.carry(gtv))
rt4d.write_rtstruct("RS_itv.dcm", on=ct.reference, rois=itv.rois)
drawn  = rt4d.read_rtstruct("physician.dcm", on=ct.reference)["ITV"]
print(rt4d.compare(itv.mask, drawn))

Names are loaded when first used, so that importing the package is quick and loads no imaging library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "read_4dct": "rt4d.dicom.fourdct",
    "read_ct": "rt4d.dicom.series",
    "read_rtstruct": "rt4d.dicom.structures",
    "write_rtstruct": "rt4d.dicom.structures",
    "read_seg": "rt4d.dicom.segmentation",
    "write_seg": "rt4d.dicom.segmentation_writer",
    "read_deformable_registration": "rt4d.motion.registration_objects",
    "write_deformable_registration": "rt4d.motion.registration_objects",
    "segment": "rt4d.segmentation.segmenting",
    "Segmentation": "rt4d.segmentation.segmenting",
    "track": "rt4d.motion",
    "Motion": "rt4d.motion",
    "itv": "rt4d.target",
    "ITV": "rt4d.target",
    "compare": "rt4d.agreement.comparing",
    "Comparison": "rt4d.agreement.comparing",
    "Geometry": "rt4d.geometry",
    "Volume": "rt4d.volumes",
    "Mask": "rt4d.volumes",
    "Roi": "rt4d.rois",
    "Phase": "rt4d.phases",
    "FourDCT": "rt4d.phases",
    "CtImage": "rt4d.phases",
    "Rt4dError": "rt4d.errors",
}

__all__ = [
    "ITV",
    "Comparison",
    "CtImage",
    "FourDCT",
    "Geometry",
    "Mask",
    "Motion",
    "Phase",
    "Roi",
    "Rt4dError",
    "Segmentation",
    "Volume",
    "__version__",
    "compare",
    "itv",
    "read_4dct",
    "read_ct",
    "read_deformable_registration",
    "read_rtstruct",
    "read_seg",
    "segment",
    "track",
    "write_deformable_registration",
    "write_rtstruct",
    "write_seg",
]

if TYPE_CHECKING:
    from rt4d.agreement.comparing import Comparison, compare
    from rt4d.dicom.fourdct import read_4dct
    from rt4d.dicom.segmentation import read_seg
    from rt4d.dicom.segmentation_writer import write_seg
    from rt4d.dicom.series import read_ct
    from rt4d.dicom.structures import read_rtstruct, write_rtstruct
    from rt4d.errors import Rt4dError
    from rt4d.geometry import Geometry
    from rt4d.motion import Motion, track
    from rt4d.motion.registration_objects import read_deformable_registration, write_deformable_registration
    from rt4d.phases import CtImage, FourDCT, Phase
    from rt4d.rois import Roi
    from rt4d.segmentation.segmenting import Segmentation, segment
    from rt4d.target import ITV, itv
    from rt4d.volumes import Mask, Volume


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rt4d' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
