"""Synthetic training scans: tumours of real and parametric shapes set into real and generated thoraces, with what looks like a tumour and is none.

    shapes = read_shapes(gtv_file, part="train")
    nodules = read_nodules(lidc_folder, part="train")
    case = make_scan(7, host=host_from(ct, "thorax_no_tumour"), shapes=shapes, nodules=nodules)

Everything in a scan is drawn from its seed. Shapes and nodules' patients are split by name into "train" and "held": what a network is
measured on shares neither shape nor texture with what it was trained on.
"""

from __future__ import annotations

from rt4d.segmentation.synthesis.hosts import Host, generated_host, host_from
from rt4d.segmentation.synthesis.material import MaskShape, Nodule, part_of, read_nodules, read_shapes
from rt4d.segmentation.synthesis.scans import make_scan

__all__ = ["Host", "MaskShape", "Nodule", "generated_host", "host_from", "make_scan", "part_of", "read_nodules", "read_shapes"]
