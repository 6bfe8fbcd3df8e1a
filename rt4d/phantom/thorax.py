"""The anatomy of the generated thorax at the reference phase, as formulas: Hounsfield units at points of the patient.

Everything is a signed distance (mm, negative inside; along the ray from the middle where no better one is simple) and a value in HU, painted one over
another from the skin inwards with edges as wide as the grid that asks. Vessels and airways are tubes.py. Coordinates: see cavity.py.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from rt4d.phantom import cavity
from rt4d.phantom.cavity import Place
from rt4d.phantom.soft import Array, cover, paint, step

AIR, LUNG, FAT, MUSCLE, BLOOD, LIVER = -1000.0, -830.0, -100.0, 55.0, 45.0, 62.0
BODY_WIDTH_MM, BODY_DEPTH_MM, BODY_Y_MM = 176.0, 117.0, 4.0
BODY_BOX = ((-186.0, -122.0), (186.0, 130.0))
"""x y of the box that holds the body, arms being up."""
RIB_STEP_MM = 27.0
CHAMBERS = ((48, -48, -50, 21), (8, -46, -28, 22), (-8, -12, -18, 20), (26, -6, -6, 19))
"""Heart chambers: x y z of the middle and radius."""
TOP = cavity.TOP_MM - 2


def body_mm(x: Array, y: Array, z: Array) -> Array:
    """Signed distance from the skin."""
    width = BODY_WIDTH_MM - 14 * step((z - 40) / 110)
    depth = BODY_DEPTH_MM - 14 * step((z - 40) / 110)
    away = y - BODY_Y_MM
    u, v = x / width, away / depth
    r2 = u * u + v * v + 1e-9
    c2 = u * u / r2
    rho = np.sqrt(r2) / (1 + 0.36 * c2 * (1 - c2))
    return np.asarray((rho - 1) * np.sqrt(x * x + away * away) / np.maximum(rho, 1e-3))


def lungs_mm(x: Array, y: Array, z: Array) -> Array:
    """Signed distance from the nearer lung's surface."""
    organs = heart_mm(x, y, z), aorta_mm(x, y, z), diaphragm_mm(x, y, z)
    return _lungs(x, y, z, cavity.locate(x, y, z), *organs)


def _lungs(x: Array, y: Array, z: Array, place: Place, heart: Array, aorta: Array, deep: Array) -> Array:
    """Inside the wall, above the diaphragm, beside mediastinum, heart and aorta, below the apex."""
    side = np.abs(x)
    apex = (z - (TOP - 62 * (((side - 47) / 55) ** 2 + ((y - 14) / 60) ** 2))) / (1 + step((z - 40) / 60))
    surfaces = [place.outside_mm, deep + 1.5, _mediastinum_half_width(x, y, z) - side, apex, 3 - heart, 2.5 - aorta]
    return reduce(np.maximum, surfaces)



def diaphragm_mm(x: Array, y: Array, z: Array) -> Array:
    """Signed distance from the diaphragm's upper surface: negative above it, positive in the abdomen."""
    right = -52 - 55 * ((x + 66) / 88) ** 2 - 42 * ((y + 12) / 78) ** 2
    left = -66 - 55 * ((x - 66) / 86) ** 2 - 40 * ((y + 10) / 78) ** 2
    gap = right - left
    height = np.maximum(0.5 * (right + left + np.sqrt(gap * gap + 400.0)), -128.0)
    return np.asarray((height - z) / 1.35)


def heart_mm(x: Array, y: Array, z: Array) -> Array:
    """Signed distance from the heart: an ellipsoid, its tip to the left, in front and below."""
    a, b, c = x - 22, y + 30, z + 32
    along, across, up = 0.74 * a - 0.45 * b - 0.5 * c, 0.5 * a + 0.866 * b, 0.43 * a - 0.25 * b + 0.866 * c
    q = np.sqrt((along / 68) ** 2 + (across / 45) ** 2 + (up / 47) ** 2)
    return np.asarray((q - 1) * np.sqrt(a * a + b * b + c * c) / np.maximum(q, 1e-3))


def aorta_mm(x: Array, y: Array, z: Array) -> Array:
    """Signed distance from the aorta: ascending, arch and descending."""
    down = _length(x - 20, y - 33 - 6 * step((10 - z) / 90)) - 12.5
    up = _length(x + 12 - 0.1 * (z - 10), y + 12) - 15
    along = np.clip(((x + 12) * 32 + (y + 12) * 45) / (32 * 32 + 45 * 45), 0, 1)
    top = 52 + 13 * np.sin(np.pi * along)
    arch = np.sqrt((x + 12 - 32 * along) ** 2 + (y + 12 - 45 * along) ** 2 + (z - top) ** 2) - 14
    return np.asarray(np.minimum(np.minimum(np.maximum(down, z - 54), np.maximum(np.maximum(up, z - 54), -22 - z)), arch))


def hounsfield(x: Array, y: Array, z: Array, *, edge_mm: float) -> tuple[Array, Array]:
    """HU at points, and how much of each lies in the lungs (0 to 1). edge_mm: how wide edges are, the spacing of the points."""
    place = cavity.locate(x, y, z)
    skin = body_mm(x, y, z)
    hu = np.full_like(skin, AIR)
    _chest_wall(hu, x, z, place, skin, edge_mm)
    heart, aorta, deep = heart_mm(x, y, z), aorta_mm(x, y, z), diaphragm_mm(x, y, z)
    inside = cover(place.outside_mm + 0.8, edge_mm)
    below = cover(-deep, edge_mm)
    paint(hu, FAT + 12, inside)
    _mediastinum(hu, x, y, z, inside * (1 - below), heart, edge_mm)
    if z.min() < -40:
        _abdomen(hu, x, y, z, inside * below, deep, place, edge_mm)
    paint(hu, BLOOD, inside * cover(aorta, edge_mm))
    lung = cover(_lungs(x, y, z, place, heart, aorta, deep), edge_mm)
    paint(hu, LUNG + 45 * np.clip(place.v, -1, 1) + 25 * step((z + 20) / -100), lung)
    _spine(hu, x, y, z, edge_mm)
    return hu, lung


def _length(a: Array, b: Array) -> Array:
    return np.asarray(np.sqrt(a * a + b * b))


def _mediastinum_half_width(x: Array, y: Array, z: Array) -> Array:
    """How far the mediastinum reaches from the middle, to the left and (less) to the right; narrow in front of and behind the vessels."""
    middle = np.exp(-(((y - 2) / 38) ** 2))
    behind = np.exp(-(((y - 55) / 26) ** 2))
    return np.asarray(7 + (24 + 3 * (x / (10 + np.abs(x)))) * middle + 19 * behind + 8 * step((z - 70) / 50))


def _chest_wall(hu: Array, x: Array, z: Array, place: Place, skin: Array, edge: float) -> None:
    """Skin, fat, muscle in layers, ribs and breastbone."""
    paint(hu, 15.0, cover(skin, edge))
    paint(hu, FAT, cover(skin + 1.8, edge))
    front = np.clip(-place.v, 0, 1)
    muscle = np.minimum(place.outside_mm - 22 + 6 * front, skin + 7 + 4 * np.abs(place.u))
    paint(hu, MUSCLE, cover(muscle, edge))
    for depth in (11.5, 17.5):  # fat between the layers of muscle
        paint(hu, -30.0, cover(np.abs(place.outside_mm - depth - 1.5 * place.u) - 0.5, edge) * cover(muscle, edge))
    _ribs(hu, x, z, place, edge)
    board = np.maximum(np.abs(x) - 17 + 0.03 * np.abs(z - 60), np.abs(place.outside_mm - 8.5) - 5)
    board = np.maximum(np.maximum(board, z - 105), -65 - z)
    bone = np.maximum(board, 50 * place.v)
    paint(hu, 420.0, cover(bone, edge))
    paint(hu, 140.0, cover(bone + 2.2, edge))


def _ribs(hu: Array, x: Array, z: Array, place: Place, edge: float) -> None:
    """Ribs as one repeated band in the wall, falling from the spine to the front; cartilage near the breastbone."""
    r = np.sqrt(place.u * place.u + place.v * place.v) + 1e-6
    front = np.clip(0.5 - 0.5 * place.v / r, 0, 1)  # 0 at the spine, 1 at the breastbone
    fall = 92 * front - 34 * step((front - 0.82) / 0.18)
    t = (z + fall - 128) / RIB_STEP_MM
    number = np.clip(np.round(t), -9, 0)
    up, out = (t - number) * RIB_STEP_MM, place.outside_mm - 6.5 - 2 * (1 - front)
    q = np.sqrt((up / 6.5) ** 2 + (out / 4.2) ** 2)
    bone = (q - 1) * 4.6
    gristle = step((front - 0.9) / 0.03)
    short = step((-4.5 - number) * (front - 0.72) * 12)  # the lower ribs end before the front
    share = cover(bone, edge) * (1 - short)
    paint(hu, 620 - 510 * gristle, share)
    paint(hu, 190 - 85 * gristle, cover(bone + 1.7, edge) * (1 - short))


def _spine(hu: Array, x: Array, y: Array, z: Array, edge: float) -> None:
    """Vertebral bodies and discs, canal, arch and spinous processes; the back's muscles lie around them."""
    t = np.mod(z + 6, RIB_STEP_MM) - RIB_STEP_MM / 2
    at_disc = np.abs(t) - RIB_STEP_MM / 2 + 2.6  # positive in a disc
    waist = 1.6 * (1 - (2 * t / RIB_STEP_MM) ** 2)
    body = (np.sqrt((x / (19.5 - waist)) ** 2 + ((y - 67) / (16.5 - waist)) ** 2) - 1) * 17
    paint(hu, 70.0, cover(body, edge))
    solid = np.maximum(body, at_disc)
    paint(hu, 430.0, cover(solid, edge))
    paint(hu, 165.0, cover(solid + 1.6, edge))
    canal = _length(x, y - 91) - 8.5
    tips = (t + 5) * 0.35
    arch = np.maximum(canal - 5, np.abs(t) - 9)
    wings = np.maximum(_length((y - 93 - 0.22 * np.abs(x)) / 4.5, t / 7) * 4.5 - 4.5, np.abs(x) - 34)
    spinous = np.maximum(np.maximum(np.abs(x) - 3.2, np.abs(y - 106 - tips) - 9), np.abs(t) - 9)
    bone = np.minimum(np.minimum(arch, wings), spinous)
    paint(hu, 480.0, cover(bone, edge))
    paint(hu, 210.0, cover(bone + 1.8, edge))
    paint(hu, 18.0, cover(canal, edge))


def _mediastinum(hu: Array, x: Array, y: Array, z: Array, share: Array, heart: Array, edge: float) -> None:
    """Heart in its fat, great vessels, oesophagus and muscles of the neck."""
    if z.min() < 40 and z.max() > -110:
        paint(hu, BLOOD - 8, share * cover(heart, edge))
        for cx, cy, cz, radius in CHAMBERS:
            distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) - radius
            paint(hu, BLOOD + 14, share * cover(distance, 6 * edge))
        beside = np.maximum(np.abs(x - 4) - 14, 0)
        trunk = np.maximum(np.sqrt(0.25 * beside * beside + (y + 2) ** 2 + (z - 14) ** 2) - 11.5, np.abs(x - 2) - 36)
        paint(hu, BLOOD, share * cover(trunk, edge))
    cava = np.maximum(_length(x + 24, y + 4 - 0.05 * z) - 9.5, -12 - z)
    gullet = _length((x - 6) / 1.35, y - 38 + 0.06 * z) - 6
    paint(hu, BLOOD - 3, share * cover(np.minimum(cava, gullet), edge))
    if z.max() > 90:
        neck = np.maximum(_length((np.abs(x) - 30) / 1.3, y - 8) - 13, 96 - z)
        paint(hu, MUSCLE, share * cover(neck, edge))


def _abdomen(hu: Array, x: Array, y: Array, z: Array, share: Array, deep: Array, place: Place, edge: float) -> None:
    """Below the diaphragm: liver, spleen and stomach, in fat; the diaphragm itself a thin muscle."""
    paint(hu, FAT, share)
    liver = np.maximum(np.maximum(3.0 - deep, x - 34 + 0.3 * (y + 40)), place.outside_mm + 3)
    spleen = np.sqrt(((x - 98) / 0.75) ** 2 + (y - 34) ** 2 + ((z + 118) / 1.2) ** 2) - 37
    stomach = np.sqrt((x - 62) ** 2 + (y + 22) ** 2 + ((z + 122) / 1.1) ** 2) - 38
    paint(hu, LIVER, share * cover(liver, edge))
    paint(hu, 52.0, share * cover(np.maximum(spleen, 3.0 - deep), edge))
    paint(hu, 40.0, share * cover(np.maximum(stomach, 3.0 - deep), edge))
    paint(hu, -880.0, share * cover(np.maximum(stomach + 4, y + 44), edge))
    paint(hu, MUSCLE, share * cover(np.abs(deep - 1.2) - 1.4, edge))
