"""Results as 3D Slicer opens them (slicer.org): contours with their names and colours, and a scene with the CT and its phases.

Formats after Slicer's developer guide (Segmentations; MRML). What is written here holds nothing of the patient but images and contours.
"""

from __future__ import annotations

from rt4d.slicer.scene import write_scene
from rt4d.slicer.segmentation import write_segmentation

__all__ = ["write_scene", "write_segmentation"]
