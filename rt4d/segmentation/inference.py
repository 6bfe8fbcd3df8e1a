"""The probability of tumour in a CT: patches through the bundle's networks, laid together with Gaussian weights (MONAI's sliding window).

Looked at is the chest; or, where a point is given, one patch around it, and more where the lesion there goes on beyond it. On a GPU in half
precision, on CPUs that calculate with bfloat16 in that, else in single precision. Each patch is the affair of one core, and several cores
take several patches, so that a machine gives the same answer every time, on any number of its cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rt4d.errors import InputError
from rt4d.geometry import Geometry, Triple
from rt4d.rois import Progress
from rt4d.segmentation.bundle import Bundle
from rt4d.segmentation.chest import Chest, find_chest, require_in_patient
from rt4d.segmentation.hounsfield import require_hu
from rt4d.segmentation.looks import together, with_small
from rt4d.segmentation.network import imported_beside
from rt4d.segmentation.probabilities import Probability
from rt4d.segmentation.space import Array, Space, click_channel, from_space, normalised, padded_where_not_imaged, to_space
from rt4d.volumes import Volume

if TYPE_CHECKING:
    import torch

Bools = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]
Ways = tuple[tuple[int, ...], ...]
Member = Callable[["torch.Tensor"], "torch.Tensor"]
"""From patches (n, 2: CT and click, z, y, x) to what the network says of them (n, 2: background and tumour, z, y, x), not yet a probability."""

FLIPS: Ways = ((), (2,), (3,), (4,))
"""As it is, and turned over along z, y and x."""
MOST_SIDE_BY_SIDE = 8
"""Patches at once on a CPU: each takes some 300 MiB."""
ON_A_GPU = 4
"""Patches at once there."""
BY_BOTH = "a large lesion was outlined with the help of a coarser look, which may take neighbours for part of it: check its borders"
BLEND_SIGMA = 0.125
"""Of a patch: the width of the Gaussian by which patches are weighted, as in nnU-Net."""


def probability(
    volume: Volume,
    bundle: Bundle,
    *,
    point_mm: Triple | None = None,
    flips: bool = False,
    progress: Progress | None = None,
) -> Probability:
    """The mean of the members' probabilities in the chest, or around a point, on the network's grid.

    flips: also look at the CT turned over along each axis, which takes four times as long. Refused (InputError): values that are
    no Hounsfield units, a point outside the CT or the patient, a bundle whose network or weights cannot be used.
    """
    require_hu(volume)
    if point_mm is not None and not volume.geometry.contains(np.array(point_mm)):
        do = "Points are patient coordinates in mm (LPS): x to the left, y back, z up"
        raise InputError("The point lies outside the CT", found=_text(point_mm), do=do)
    with imported_beside():
        upright = to_space(volume, bundle.space)
        seen = padded_where_not_imaged(upright, volume)
        chest = find_chest(seen)
        if point_mm is not None:
            require_in_patient(seen, chest, point_mm)
    if point_mm is None:
        low, size = np.array(chest.start), np.array(chest.size)
        return _look(upright, low, low + size, bundle, chest, point_mm=None, flips=flips, progress=progress)
    return _around(upright, point_mm, bundle, chest, flips=flips, progress=progress)


def members_of(bundle: Bundle) -> Iterator[Member]:
    """The bundle's networks with their weights, one after the other, so that no more than one is held."""
    import torch

    from rt4d.segmentation.network import build, load_weights

    for path in bundle.members:
        network = load_weights(build(bundle.network_definition), path).eval()
        yield network.to(_device(), memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stubs do not know this one


def _around(upright: Volume, point_mm: Triple, bundle: Bundle, chest: Chest, *, flips: bool, progress: Progress | None) -> Probability:
    """A patch about the point, widened by half a patch on every side as long as the lesion there reaches its border."""
    middle = np.round(upright.geometry.to_index(np.array(point_mm))).astype(int)
    half = np.array(bundle.patch_voxels) // 2
    size = np.array(upright.geometry.size)
    while True:
        low, high = np.maximum(middle - half, 0), np.minimum(middle + half, size)
        found = _look(upright, low, high, bundle, chest, point_mm=point_mm, flips=flips, progress=progress)
        seen = found.lesion_at(point_mm, bundle.threshold_at_point, bundle.faint_threshold)
        if seen is None or not _goes_on(seen[0], more_below=low > 0, more_above=high < size):
            return found
        half = half + np.array(bundle.patch_voxels) // 2


def _goes_on(lesion: Bools, *, more_below: Bools, more_above: Bools) -> bool:
    """Whether a lesion reaches a border of the window beyond which (x y z) there is more of the CT."""
    ends = [(axis, 0, more_below[axis]) for axis in range(3)] + [(axis, -1, more_above[axis]) for axis in range(3)]
    return any(more and bool(lesion.take(end, axis=2 - axis).any()) for axis, end, more in ends)


def _look(
    upright: Volume,
    low: Index,
    high: Index,
    bundle: Bundle,
    chest: Chest,
    *,
    point_mm: Triple | None,
    flips: bool,
    progress: Progress | None,
) -> Probability:
    """What the members say of a window from `low` up to `high` (x y z); where the bundle has looks at other voxels, of all laid together."""
    window = upright.crop(low.tolist(), (high - low).tolist())
    views = {"own": _View(window, bundle.space, bundle.overlap)}
    if bundle.coarse is not None:
        space = replace(bundle.space, spacing_mm=bundle.coarse.spacing_mm)
        views["coarse"] = _View(to_space(_holding_a_patch(upright, low, high, bundle, space), space), space, bundle.overlap)
    if bundle.fine is not None:
        space = replace(bundle.space, spacing_mm=bundle.fine.spacing_mm)
        views["fine"] = _View(to_space(_for_small(window, chest, point_mm, bundle, space), space), space, bundle.fine.overlap)
    ways = FLIPS if flips else FLIPS[:1]
    ticks = _Ticks(sum(len(bundle.members) * len(ways) * _patches(view, bundle) for view in views.values()), progress)
    seen = dict(zip(views, _seen(list(views.values()), bundle, ways, ticks, point_mm=point_mm), strict=True))
    own = seen["own"].mean
    others = {name: _on_window(seen[name].mean, views[name].volume.geometry, window.geometry, elsewhere=own) for name in views if name != "own"}
    values, scores, notes = _laid_together(own, others, bundle, window.geometry, at_point=point_mm is not None)
    return Probability(values, seen["own"].spread, window.geometry, chest, ((chest.note,) if chest.note else ()) + notes, scores=scores)


def _laid_together(
    own: Array, others: Mapping[str, Array], bundle: Bundle, geometry: Geometry, *, at_point: bool
) -> tuple[Array, Array | None, tuple[str, ...]]:
    """The probability of all looks on the window's grid, by what lesions are scored (None: by that), and notes.

    What the finer look is less sure of than the own one, it makes smaller: outlines say so, scores do not.
    """
    values, notes = own, tuple[str, ...]()
    threshold = bundle.threshold_at_point if at_point else bundle.threshold
    if bundle.coarse is not None:
        voxels = 1000 * bundle.coarse.from_cm3 / geometry.voxel_volume_mm3
        known = bundle.coarse.known_from, bundle.coarse.known_to
        values = together(own, others["coarse"], threshold=threshold, from_voxels=voxels, known=known)
        notes = () if np.array_equal(values, own) else (BY_BOTH,)
    scores = values
    if bundle.fine is not None:
        voxels = 1000 * bundle.fine.to_cm3 / geometry.voxel_volume_mm3
        values = with_small(values, others["fine"], faint=bundle.faint_threshold, to_voxels=voxels, share=bundle.fine.share)
        scores = np.maximum(values, scores)
    if bundle.coarse is not None:
        share = np.float32(bundle.coarse.score_share)
        scores = (1 - share) * scores + share * others["coarse"]
    return values, None if scores is values else scores, notes


def _holding_a_patch(upright: Volume, low: Index, high: Index, bundle: Bundle, space: Space) -> Volume:
    """The window, as wide at least as a patch in that space where the CT goes so far: what lies around a lesion helps to tell it."""
    wanted = np.ceil(np.array(bundle.patch_voxels) * space.spacing_mm / bundle.space.spacing_mm).astype(int)
    lacking = np.maximum(wanted - (high - low), 0)
    size = np.array(upright.geometry.size)
    low, high = np.maximum(low - (lacking + 1) // 2, 0), np.minimum(high + lacking // 2, size)
    return upright.crop(low.tolist(), (high - low).tolist())


def _for_small(window: Volume, chest: Chest, point_mm: Triple | None, bundle: Bundle, space: Space) -> Volume:
    """Where the finer look seeks what is small: in the lungs and 10 mm around, where they are known; at a point, in one of its patches."""
    if point_mm is not None:
        x, y, z = (n * space.spacing_mm / 2 - 1.5 * bundle.space.spacing_mm for n in bundle.patch_voxels)
        return window.crop(*window.geometry.box_around(point_mm, (x, y, z)))
    return window if chest.by_lungs is None else window.crop(*window.geometry.box_around(chest.by_lungs.points_mm))


def _on_window(values: Array, geometry: Geometry, window: Geometry, *, elsewhere: Array) -> Array:
    """What a look says, on the window's grid; what another says where it did not look."""
    looked = from_space(np.ones_like(values), geometry, window) > 1 - 1e-4
    return np.where(looked, from_space(values, geometry, window), elsewhere)


@dataclass(frozen=True, slots=True)
class _View:
    """A part of a CT on a grid of a space."""

    volume: Volume
    space: Space
    overlap: float
    """Of neighbouring patches."""

    def channels(self, point_mm: Triple | None) -> Array:
        """What the network takes: CT and click, shape (2, z, y, x)."""
        return np.stack([normalised(self.volume.hu, self.space), click_channel(self.volume.geometry, point_mm)])


class _Mean:
    """Mean and standard deviation of what comes one after the other (Welford's sums), float32."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean = np.zeros(shape, np.float32)
        self._squares = np.zeros(shape, np.float32)
        self._count = 0

    def add(self, one: Array) -> None:
        self._count += 1
        off = one - self.mean
        self.mean += off / np.float32(self._count)
        self._squares += off * (one - self.mean)

    @property
    def spread(self) -> Array | None:
        """None of one alone."""
        return np.sqrt(self._squares / np.float32(self._count)) if self._count > 1 else None


def _seen(views: Sequence[_View], bundle: Bundle, ways: Ways, ticks: _Ticks, *, point_mm: Triple | None) -> list[_Mean]:
    """What the members say of each view; every member, read once, looks at all of them."""
    images = [view.channels(point_mm) for view in views]
    found = [_Mean(view.volume.geometry.shape) for view in views]
    with _workers() as workers:
        for member in members_of(bundle):
            for view, image, mean in zip(views, images, found, strict=True):
                mean.add(_answer(_Chance(member, workers, ticks), image, bundle.patch_voxels, view.overlap, ways))
    return found


def _answer(chance: _Chance, channels: Array, patch: tuple[int, int, int], overlap: float, ways: Ways) -> Array:
    """One member's probability of tumour: the mean over the ways in which it looks."""
    import torch

    image = torch.from_numpy(channels)[None]
    total = torch.zeros(channels.shape[1:])
    for way in ways:
        total += torch.flip(_slide(chance, torch.flip(image, way), patch, overlap), [axis - 2 for axis in way])
    return np.asarray((total / len(ways)).numpy(), dtype=np.float32)


def _slide(chance: _Chance, image: torch.Tensor, patch: tuple[int, int, int], overlap: float) -> torch.Tensor:
    """The probability of tumour (z y x) of one image (1, 2, z, y, x), by overlapping patches (x y z)."""
    import torch
    from monai.inferers.utils import sliding_window_inference

    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        found = sliding_window_inference(
            image,
            roi_size=patch[::-1],
            sw_batch_size=chance.at_once,
            predictor=chance,
            overlap=overlap,
            mode="gaussian",
            sigma_scale=BLEND_SIGMA,
            sw_device=_device(),
            device="cpu",
        )
    return found[0, 0]  # type: ignore[call-overload]  # one tensor, because `chance` gives one


@contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """As many threads as torch may use, each of which calculates on one core; torch's own number is set again in the end."""
    import torch

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(min(threads, MOST_SIDE_BY_SIDE), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True)
class _Chance:
    """From patches (n, 2, z, y, x) to the probability of tumour in them (n, 1, z, y, x), float32, by one member."""

    member: Member
    workers: ThreadPoolExecutor
    ticks: _Ticks

    @property
    def at_once(self) -> int:
        return ON_A_GPU if _device() == "cuda" else MOST_SIDE_BY_SIDE

    def __call__(self, patches: torch.Tensor) -> torch.Tensor:
        import torch

        parts = [patches] if _device() == "cuda" else list(torch.split(patches, 1))
        found = torch.cat(list(self.workers.map(self._of, parts)))
        self.ticks.more(len(patches))
        return found

    def _of(self, patches: torch.Tensor) -> torch.Tensor:
        import torch

        kind = _number_type()
        with torch.inference_mode(), torch.autocast(_device(), dtype=kind, enabled=kind != torch.float32):
            answer = self.member(patches.contiguous(memory_format=torch.channels_last_3d))
            return torch.softmax(answer.float(), dim=1)[:, 1:].contiguous()


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _number_type() -> torch.dtype:
    """What the machine calculates with fastest: half precision on a GPU, bfloat16 on a CPU made for it, else single precision."""
    import torch

    if _device() == "cuda":
        return torch.float16
    told: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # newer versions of torch tell
    return torch.bfloat16 if told.get("avx512_bf16") or told.get("amx_bf16") else torch.float32


def _patches(view: _View, bundle: Bundle) -> int:
    """How many patches a view takes."""
    steps = [max(1, int(n * (1 - view.overlap))) for n in bundle.patch_voxels]
    sides = zip(view.volume.geometry.size, bundle.patch_voxels, steps, strict=True)
    return math.prod(math.ceil(max(whole - n, 0) / step) + 1 for whole, n, step in sides)


@dataclass
class _Ticks:
    """Tells progress patch by patch."""

    total: int
    progress: Progress | None
    done: int = 0

    def more(self, patches: int) -> None:
        self.done += patches
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress("segmenting", self.done, self.total)


def _text(point_mm: Triple) -> str:
    return ", ".join(f"{v:.1f}" for v in point_mm)
