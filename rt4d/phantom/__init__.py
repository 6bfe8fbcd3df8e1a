"""A 4D-CT whose motion is known: a breathing thorax made from formulas, or a real CT that is made to breathe.

It is a commissioning tool: every phase's GTV, the ITV and the displacement at every point are known, and the case can be written as
DICOM and taken through rt4d or any other system.

    case = make_4dct(tumours=[Tumour((-75, 10, -30), 30)], amplitude_mm=(1, 4, 15))
    case.ct, case.gtv("00"), case.itv, case.reference_to_phase("00", points_mm)
    case.write("phantom")
"""

from __future__ import annotations

from rt4d.phantom.case import Phantom
from rt4d.phantom.generated import make_4dct
from rt4d.phantom.observers import redraw
from rt4d.phantom.real_ct import breathe
from rt4d.phantom.tumours import Tumour
from rt4d.phantom.waveform import from_trace

__all__ = ["Phantom", "Tumour", "breathe", "from_trace", "make_4dct", "redraw"]
