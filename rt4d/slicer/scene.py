"""A scene of 3D Slicer (MRML): the reference phase whole, the phases around the targets as a sequence that plays, and the contours.

All files lie beside the scene and are named without a path, so that the folder can be moved.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path

import numpy as np

from rt4d import geometry as grids
from rt4d.phases import FourDCT
from rt4d.rois import Roi
from rt4d.segmentation.whole_files import write_file
from rt4d.slicer.nrrd import write_nrrd
from rt4d.slicer.segmentation import require_one_grid, write_segmentation
from rt4d.volumes import Mask

SCENE, CT, PHASES, CONTOURS = "scene.mrml", "ct.nrrd", "phases.seq.nrrd", "contours.seg.nrrd"
AROUND_MM = (40.0, 25.0, 10.0)
"""How much of the phases is kept around the targets: the first of these with which they stay under VOXELS, or the last."""
VOXELS = 15_000_000
WINDOW_HU = (-1000, 250)
"""From black to white, as the report opens."""
_KINDS = {"Volume": "ScalarVolume", "VolumeDisplay": "ScalarVolumeDisplay"}
"""Of the nodes whose id does not begin as their element is called."""


def write_scene(folder: str | Path, ct: FourDCT, *, rois: Sequence[Roi]) -> Path:
    """The path of scene.mrml, in a folder that is made where it is not there, with ct.nrrd, phases.seq.nrrd and contours.seg.nrrd beside it.

    The regions lie on the 4D-CT's grid (GeometryError otherwise). Voxels are Hounsfield units as they were read.
    """
    grids.require(ct.geometry, require_one_grid(rois), what="The contours lie on another grid than the 4D-CT")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=3) as pool:
        written = [
            pool.submit(write_nrrd, folder / CT, ct.reference.volume.hu, ct.geometry),
            pool.submit(_write_phases, folder / PHASES, ct, rois),
            pool.submit(write_segmentation, folder / CONTOURS, rois),
        ]
        for file in written:
            file.result()
    return write_file(folder / SCENE, _scene(ct))


def _write_phases(path: Path, ct: FourDCT, rois: Sequence[Roi]) -> Path:
    """All phases around the targets as the frames of a sequence, called by their labels."""
    everything = reduce(Mask.__or__, (roi.mask for roi in rois))
    boxes = [everything.box(margin) for margin in AROUND_MM]
    start, size = next((box for box in boxes if np.prod(box[1]) * len(ct) <= VOXELS), boxes[-1])
    frames = np.stack([phase.volume.crop(start, size).hu for phase in ct], axis=-1)
    keys = {"axis 0 index type": "text", "axis 0 index values": " ".join(ct.labels), "DataNodeClassName": "vtkMRMLScalarVolumeNode"}
    return write_nrrd(path, frames, ct.geometry.crop(start, size), axis="phase", keys=keys)


def _scene(ct: FourDCT) -> bytes:
    scene = ElementTree.Element("MRML", version="Slicer4.4.0", userTags="")
    whole = _add_volume(scene, 1, f"CT phase {ct.reference_label}", file=CT)
    moving = _add_volume(scene, 2, "CT phases")
    _add_contours(scene, whole)
    _add_sequence(scene, ct, moving)
    for view in ("Red", "Yellow", "Green"):
        shown = {"backgroundVolumeID": whole, "foregroundVolumeID": moving, "foregroundOpacity": "1", "linkedControl": "1"}
        _add(scene, "SliceComposite", view, singletonTag=view, layoutName=view, **shown)
    ElementTree.indent(scene)
    text: bytes = ElementTree.tostring(scene, encoding="UTF-8", xml_declaration=True)
    return text + b"\n"


def _add(scene: ElementTree.Element, tag: str, number: int | str, **attributes: str) -> str:
    """The id of a node that was added to the scene; one without a name is called what it is."""
    ident = f"vtkMRML{_KINDS.get(tag, tag)}Node{number}"
    ElementTree.SubElement(scene, tag, {"id": ident, "name": f"{tag} {number}"} | attributes)
    return ident


def _add_volume(scene: ElementTree.Element, number: int, name: str, *, file: str = "") -> str:
    """A volume in the report's first window. Without a file of its own it shows the frame of the sequence that is chosen."""
    low, high = WINDOW_HU
    look = {"window": str(high - low), "level": f"{(high + low) / 2:g}", "autoWindowLevel": "0", "interpolate": "1"}
    references = f"display:{_add(scene, 'VolumeDisplay', number, colorNodeID='vtkMRMLColorTableNodeGrey', **look)};"
    if file:
        references += f"storage:{_add(scene, 'VolumeArchetypeStorage', number, fileName=file, useCompression='1', centerImage='0')};"
    return _add(scene, "Volume", number, name=name, references=references)


def _add_contours(scene: ElementTree.Element, volume: str) -> None:
    """Outlines on the planes, half-transparent surfaces in space."""
    look = {"visibility": "true", "Visibility2DFill": "false", "Visibility2DOutline": "true", "Opacity3D": "0.5"}
    display = _add(scene, "SegmentationDisplay", 1, **look)
    storage = _add(scene, "SegmentationStorage", 1, fileName=CONTOURS, useCompression="1")
    references = f"display:{display};storage:{storage};referenceImageGeometryRef:{volume};"
    _add(scene, "Segmentation", 1, name="Contours", references=references)


def _add_sequence(scene: ElementTree.Element, ct: FourDCT, volume: str) -> None:
    """The phases, and the browser that plays them into a volume, at the reference phase to begin with."""
    storage = _add(scene, "VolumeSequenceStorage", 1, fileName=PHASES, useCompression="1")
    sequence = _add(scene, "Sequence", 1, name="Phases", references=f"storage:{storage};", indexName="phase", indexUnit="", indexType="text")
    _add(
        scene,
        "SequenceBrowser",
        1,
        name="Breathing cycle",
        references=f"sequenceNodeRef0:{sequence};dataNodeRef0:{volume};",
        selectedItemNumber=str(ct.labels.index(ct.reference_label)),
        playbackRateFps="3",
        playbackLooped="true",
        virtualNodePostfixes="0",
        SynchronizationPropertiesMap0="playback true recording false overwriteProxyName false saveChanges false missingItemMode createFromPrevious",
    )
