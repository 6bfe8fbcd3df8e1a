"""Sound cases of a known motion, and small ways to spoil them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rt4d.motion import DisplacementField, Motion, read_recipe
from tests.motion.make import Scene, grid

TEN = tuple(f"{i}0" for i in range(10))


def breath(places):
    """How far a breath is drawn: 1 at its deepest, longer at exhalation (Lujan 1999)."""
    return np.cos(np.pi * np.asarray(places)) ** 4


def cycle(labels=TEN, amplitude_mm=12.0, **other):
    """A scene that breathes through these phases, its grid, its motion by formula, and its tumour."""
    g = grid()
    shares = {label: float(breath(int(label) / 100)) for label in labels}
    scene = Scene(tuple(g.to_patient((np.array(g.size) - 1) / 2)), amplitude_mm=(1.0, -2.0, amplitude_mm), shares=shares, **other)
    region = g.crop((3, 3, 3), tuple(n - 6 for n in g.size))
    x = region.centres()
    fields = {label: DisplacementField((scene.reference_to_phase(label, x) - x).astype(np.float32), region) for label in labels if label != "50"}
    return scene, g, Motion("50", tuple(labels), fields, {}, g, region, read_recipe("lung_focus")), scene.tumour("50", g)


def with_field(motion, label, vectors):
    return replace(motion, fields={**motion.fields, label: DisplacementField(np.asarray(vectors, np.float32), motion.region)})


def exchanged(motion, one, other):
    """The same motion with the images of two phases labelled the wrong way round."""
    return replace(motion, fields={**motion.fields, one: motion.fields[other], other: motion.fields[one]})


def named(found, name):
    """The one check of that name."""
    (check,) = [check for check in found if check.name == name]
    return check
