"""A real planning CT that is made to breathe: the CT is the reference phase, its contours the truth, and a known smooth motion moves both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from rt4d import geometry as grids
from rt4d.anatomy import lungs
from rt4d.errors import InputError
from rt4d.geometry import Floats, Geometry, Triple
from rt4d.phantom.case import Phantom, phases_with_identity
from rt4d.phantom.fields import FieldBreathing
from rt4d.phantom.imaging import Noise, add_noise
from rt4d.phantom.raster import Raster, in_threads, slice_points, splined
from rt4d.phantom.soft import Array, step
from rt4d.phantom.waveform import Waveform, cosine, labels_of, nearest_to_exhale, travel_of
from rt4d.phases import CtImage, FourDCT
from rt4d.resampling import pieces, rounded_distance_mm
from rt4d.rois import Progress
from rt4d.volumes import Mask

NODE_MM = 8.0
SMALLEST_JACOBIAN = 0.2
ROUNDED = 0.6
"""Of the largest voxel spacing: the Gaussian that rounds the steps of a drawn contour."""
ROOM_MM = 15.0
DIVIDED_MM = 0.5


@dataclass(frozen=True, slots=True)
class Style:
    """How a patient breathes: lag (cycles) of the way to the front, unevenness of the motion in space, how far it reaches outside the lungs."""

    lag: float
    unevenness: float
    reach_mm: float

    @classmethod
    def of(cls, seed: int) -> Style:
        """A style by its number; 0 is the plain one."""
        if seed == 0:
            return cls(0.08, 0.0, 12.0)
        random = np.random.default_rng([seed, 51])
        return cls(*(float(v) for v in (random.uniform(0.0, 0.14), random.uniform(0.1, 0.3), random.uniform(8.0, 18.0))))


@dataclass(frozen=True, slots=True, eq=False)
class DrawnRegion:
    """A contour of the reference phase as a solid that can be moved: its mask, the steps between slices rounded, each piece of its own volume.

    Its surface is that of the mask's signed distance, smoothed by a Gaussian and looked up by a cubic spline, at the level at which each piece has
    the drawn volume. Of the ways tried this gives back formulas best that were drawn on a grid (tests/phantom/test_real_ct.py); the signed
    distance between voxel centres alone shrinks as soon as it moves, by a tenth where pieces are small.
    """

    name: str
    mask: Mask
    outside: Raster

    @classmethod
    def of(cls, name: str, mask: Mask) -> DrawnRegion:
        crop = mask.geometry.crop(*mask.box(ROOM_MM))
        outside = np.min([_outside(piece, crop) for piece in pieces(mask)], axis=0)
        return cls(name, mask, splined(outside, crop))

    @property
    def centre_mm(self) -> Triple:
        return self.mask.centroid_mm

    def distance_mm(self, x: Array, y: Array, z: Array) -> Array:
        """Negative inside, zero on the surface; a distance in mm near flat parts of it only."""
        return self.outside.look_up(x, y, z)

    def shell_points_mm(self) -> Floats:
        """Voxel centres on its surface, some thousands at most."""
        start, size = self.mask.box()
        crop = self.mask.crop(start, size)
        shell = np.argwhere(crop.inside & ~ndimage.binary_erosion(crop.inside))[:, ::-1]
        return crop.geometry.to_patient(shell[:: max(1, len(shell) // 3000)])


def _outside(piece: Mask, around: Geometry) -> npt.NDArray[np.float32]:
    """How far outside the piece's rounded surface the voxel centres of a grid around it lie, in mm, ROOM_MM far away; negative inside."""
    start, size = piece.box(ROOM_MM / 2)
    near = piece.crop(start, size)
    distance = rounded_distance_mm(near, rounded=ROUNDED)
    level = _level(distance, near)
    first = around.to_index(near.geometry.origin_mm).round().astype(int)[::-1]
    outside = np.full(around.shape, ROOM_MM, dtype=np.float32)
    outside[tuple(slice(i, i + n) for i, n in zip(first, distance.shape, strict=True))] = distance - level
    return outside


def _level(distance: npt.NDArray[np.float32], mask: Mask) -> float:
    """The distance below which the solid has the volume of the mask, each voxel near to zero divided into parts of DIVIDED_MM at most."""
    parts = np.ceil(np.array(mask.geometry.spacing_mm[::-1]) / DIVIDED_MM).astype(int)
    within_mm = 2 * max(mask.geometry.spacing_mm)
    centres = np.argwhere(np.abs(distance) < within_mm)
    steps = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n - 0.5 for n in parts], indexing="ij"), axis=-1).reshape(-1, 3)
    raster = splined(distance, mask.geometry)
    values = np.concatenate([raster.look_up(*mask.geometry.to_patient((centres + step)[:, ::-1]).T) for step in steps])
    wanted = (np.count_nonzero(mask.inside) - np.count_nonzero(distance <= -within_mm)) * len(steps)
    return float(np.partition(values, wanted)[wanted])


def breathe(
    ct: CtImage,
    rois: Mapping[str, Mask],
    *,
    amplitude_mm: Triple = (1.0, 4.0, 15.0),
    phases: int | Sequence[str] = 10,
    reference: str | None = None,
    waveform: Waveform | None = None,
    style: int = 0,
    sliding: bool = False,
    noise_hu: float = 10.0,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Phantom:
    """The CT and its contours through a breathing cycle; the CT itself is the reference phase (None: the one nearest to 50 %).

    The first ROI's centroid travels `amplitude_mm` between the extreme phases (to the feet, to the front, outwards at inhalation). The motion grows
    from the apices to the diaphragm, is full in the lungs and below them and fades over a few centimetres outside, or within millimetres where
    `sliding`. style: another number, another spatial pattern and hysteresis. noise_hu: added to every phase, independent; the CT's own noise
    moves with the tissue. Looked up by a cubic spline. Same arguments, same arrays, bit for bit, on any number of cores.
    Refused (InputError): no ROI, an empty one, no lungs found, a motion whose Jacobian falls under 0.2; the smallest stands in `parameters`.
    """
    grids.require_even(ct.geometry, what="Breathing a CT")
    targets = _targets(ct, rois)
    labels = labels_of(phases)
    reference = nearest_to_exhale(labels) if reference is None else reference
    manner, point = Style.of(style), targets[0].centre_mm
    middle = ct.geometry.to_patient((np.array(ct.geometry.size) - 1) / 2)[0]
    travel = travel_of(labels, reference, amplitude_mm, waveform or cosine(), lag=manner.lag, outwards=1.0 if point[0] >= middle else -1.0)
    motion, smallest = _motion(ct, targets, travel, manner, style=style, sliding=sliding)
    parameters = {
        "kind": "breathed CT", "source_series_uid": ct.identity.series_uid, "rois": [target.name for target in targets], "phases": list(labels),
        "reference": reference, "amplitude_mm": list(amplitude_mm), "style": style, "sliding": sliding, "noise_hu": noise_hu, "seed": seed,
        "smallest_jacobian": round(smallest, 4), "strength_mm": {label: list(v) for label, v in motion.strength.items()},
    }  # fmt: skip
    volumes = _volumes(ct, motion, reference, noise_hu=noise_hu, seed=seed, workers=workers, progress=progress)
    made = phases_with_identity(volumes, ct.geometry, parameters, patient_position=ct.identity.patient_position or "HFS")
    return Phantom(FourDCT(made, reference, told_by="rt4d.phantom"), motion, targets, parameters)


def _targets(ct: CtImage, rois: Mapping[str, Mask]) -> tuple[DrawnRegion, ...]:
    if not rois:
        raise InputError("Breathing a CT needs a contour whose motion is asked for", expected="rois={name: mask}", found="none")
    for name, mask in rois.items():
        grids.require(ct.geometry, mask.geometry, what=f"ROI {name} lies on another grid than the CT")
        if mask.is_empty:
            raise InputError("An ROI is empty", where=name)
    return tuple(DrawnRegion.of(name, mask) for name, mask in rois.items())


def _motion(
    ct: CtImage, targets: Sequence[DrawnRegion], travel: Mapping[str, Triple], manner: Style, *, style: int, sliding: bool
) -> tuple[FieldBreathing, float]:
    """The weights, each phase's numbers such that the first target's centroid goes exactly where it is asked to; and the smallest Jacobian."""
    largest = max(float(np.abs(way).max()) for way in travel.values())
    nodes, weights = _weights(ct, targets, manner, style=style, sliding=sliding, largest_mm=largest)
    plain = FieldBreathing(weights, nodes, {})
    centre = np.array(targets[0].centre_mm)
    strength = {}
    for label, way in travel.items():
        x, y, z = (np.array(way) / plain.shares((centre + way)[None])[0]).tolist()
        strength[label] = (x, y, z)
    motion = replace(plain, strength=strength)
    if (smallest := motion.smallest_jacobian()) < SMALLEST_JACOBIAN:
        do = "Ask for a smaller amplitude"
        raise InputError("So large a motion would fold the anatomy", expected=f"Jacobian ≥ {SMALLEST_JACOBIAN}", found=f"{smallest:.2f}", do=do)
    return motion, smallest


def _weights(
    ct: CtImage, targets: Sequence[DrawnRegion], manner: Style, *, style: int, sliding: bool, largest_mm: float
) -> tuple[Geometry, Floats]:
    """Nodes and their weights for x, y, z: full in the lungs, around the targets and below the lungs; ramped from the apices."""
    in_plane = 3.0 if sliding else NODE_MM
    found = lungs(ct.volume)
    nodes, (lung, target) = _on_nodes(ct.geometry, in_plane, [found, *(t.mask for t in targets[:1])])
    mm = np.array(nodes.spacing_mm[::-1])
    z = _plane(nodes, np.array([0.0, 0.0, 1.0])) + nodes.origin_mm[2]
    along = int(np.argmax(np.abs(nodes.matrix[2])))
    upwards = nodes.matrix[2, along] > 0
    below = _below(lung, axis=2 - along, upwards=upwards, count=round(90 / nodes.spacing_mm[along]))
    reach = np.full(3, 4.0 if sliding else 20.0)
    reach[2 - along] = 30.0
    around = ndimage.distance_transform_edt(target < 0.2, sampling=mm / reach) < 1
    moving = np.maximum(np.maximum(lung, below), around)
    spread = np.full(3, 2.0 if sliding else manner.reach_mm)
    spread[2 - along] = max(22.0, 0.9 * largest_mm)
    inside = np.clip(ndimage.gaussian_filter(moving, spread / mm, mode="nearest") / 0.85, 0, 1)
    wider = np.clip(ndimage.gaussian_filter(moving, np.maximum(spread, 25.0) / mm, mode="nearest") / 0.85, 0, 1)
    begin, full = _ramp(found, targets[0], largest_mm)
    ramp = step((begin - z) / (begin - full))
    uneven = [1 + manner.unevenness * _smooth_chance(nodes, (style, 52, axis)) for axis in range(3)]
    return nodes, np.stack([wider * (0.4 + 0.6 * ramp) * uneven[0], wider * (0.4 + 0.6 * ramp) * uneven[1], inside * ramp * uneven[2]])


def _ramp(found: Mask, target: DrawnRegion, largest_mm: float) -> tuple[float, float]:
    """The heights where the way to the feet begins (the apices) and is full (above the target, whose volume then hardly changes).

    It is never steeper than so large a motion allows.
    """
    heights = found.geometry.to_patient(np.argwhere(found.inside[::2, ::4, ::4])[:, ::-1] * [4, 4, 2])[:, 2]
    begin = max(float(np.percentile(heights, 99.5)), target.centre_mm[2] + max(40.0, 1.5 * largest_mm))
    return begin, min(float(target.shell_points_mm()[:, 2].max()) + 10, begin - 3 * largest_mm - 20)


def _on_nodes(geometry: Geometry, in_plane_mm: float, masks: Sequence[Mask]) -> tuple[Geometry, list[Floats]]:
    """Nodes along the grid's axes, five more all round, and how full the masks are around each."""
    along = int(np.argmax(np.abs(geometry.matrix[2])))
    mm = np.array([NODE_MM if axis == along else in_plane_mm for axis in range(3)])
    extent = (np.array(geometry.size) - 1) * geometry.spacing_mm
    count = np.ceil(extent / mm).astype(int) + 11
    origin = np.array(geometry.origin_mm) - geometry.matrix @ (5 * mm)
    (nx, ny, nz), (x, y, z) = count.tolist(), origin.tolist()
    nodes = Geometry((nx, ny, nz), (float(mm[0]), float(mm[1]), float(mm[2])), (x, y, z), geometry.direction)
    return nodes, [_fullness(mask, mm, count) for mask in masks]


def _fullness(mask: Mask, mm: Floats, count: npt.NDArray[np.int_]) -> Floats:
    """The share of the voxels nearest to each node that lie inside; the outermost voxels' goes on to the nodes beyond the grid."""
    share = mask.inside.astype(np.float32)
    for axis in range(3):
        a = 2 - axis
        nearest = np.round(np.arange(mask.geometry.size[axis]) * mask.geometry.spacing_mm[axis] / mm[axis]).astype(int)
        starts = np.flatnonzero(np.diff(nearest, prepend=-1))
        sums = np.add.reduceat(share, starts, axis=a)
        lengths = np.diff(np.append(starts, len(nearest)))
        means = sums / lengths.reshape([-1 if i == a else 1 for i in range(3)]).astype(np.float32)
        places = np.clip(np.searchsorted(nearest[starts], np.arange(count[axis]) - 5), 0, len(starts) - 1)
        share = np.take(means, places, axis=a)
    return np.asarray(share, dtype=float)


def _below(lung: Floats, *, axis: int, upwards: bool, count: int) -> Floats:
    """What lies up to `count` nodes under a lung (to the feet): diaphragm and upper abdomen move with it."""
    reach = np.moveaxis(lung if upwards else np.flip(lung, axis), axis, 0).copy()
    since = np.where(reach > 0.5, 0, count + 1)
    for k in range(len(reach) - 2, -1, -1):
        since[k] = np.minimum(since[k], since[k + 1] + 1)
    reach = np.maximum(reach, since <= count)
    reach = np.moveaxis(reach, 0, axis)
    return reach if upwards else np.flip(reach, axis)


def _smooth_chance(nodes: Geometry, seed: tuple[int, ...]) -> Floats:
    """A smooth random field between −1 and 1: eight plane waves of 15 to 40 cm."""
    random = np.random.default_rng(seed)
    towards = random.normal(size=(8, 3))
    towards *= 2 * np.pi / random.uniform(150, 400, size=(8, 1)) / np.linalg.norm(towards, axis=1, keepdims=True)
    waves = sum(np.cos(_plane(nodes, t) + shift) for t, shift in zip(towards, random.uniform(0, 2 * np.pi, size=8), strict=True))
    return np.asarray(waves / np.abs(waves).max())


def _plane(nodes: Geometry, towards: Floats) -> Floats:
    """The scalar product of each node's place with a vector, shape z y x."""
    x, y, z = (np.arange(n) * mm * v for n, mm, v in zip(nodes.size, nodes.spacing_mm, nodes.matrix.T @ towards, strict=True))
    return np.asarray(z[:, None, None] + y[:, None] + x)


def _volumes(
    ct: CtImage, motion: FieldBreathing, reference: str, *, noise_hu: float, seed: int, workers: int | None, progress: Progress | None
) -> dict[str, npt.NDArray[np.int16]]:
    """HU of every phase, shape z y x."""
    geometry = replace(ct.geometry, frame_of_reference="")
    raster = splined(np.asarray(ct.volume.hu, dtype=np.float32), geometry)
    shares = motion.on_grid(geometry)
    volumes = {}
    for number, label in enumerate(motion.strength):
        hu = np.empty(geometry.shape, dtype=np.int16)
        noise = Noise(noise_hu, 0.0, (seed, 2, number))

        def make(k: int, label: str = label, hu: npt.NDArray[np.int16] = hu, noise: Noise = noise) -> None:
            image = np.asarray(ct.volume.hu[k], dtype=np.float32)
            hu[k] = add_noise(image if label == reference else _moved(image, raster, shares[:, k], motion.strength[label], k), noise, k)

        in_threads(make, range(geometry.size[2]), workers=workers)
        volumes[label] = hu
        if progress is not None:
            progress("phases", number + 1, len(motion.strength))
    return volumes


def _moved(
    image: npt.NDArray[np.float32], raster: Raster, shares: npt.NDArray[np.float32], strength: Triple, k: int
) -> npt.NDArray[np.float32]:
    """Slice k of a phase; what does not move by a hundredth of a millimetre is taken as it is."""
    way = [share * np.float32(number) for share, number in zip(shares, strength, strict=True)]
    moves = np.max([np.abs(w) for w in way], axis=0) > 0.01
    rows, columns = np.flatnonzero(moves.any(axis=1)), np.flatnonzero(moves.any(axis=0))
    if rows.size == 0:
        return image
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    x, y, z = (np.broadcast_to(p, image.shape)[part] - w[part] for p, w in zip(slice_points(raster.geometry, k), way, strict=True))
    image = image.copy()
    image[part] = raster.look_up(x, y, z)
    return image
