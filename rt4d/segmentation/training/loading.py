"""Batches made beside the training: by processes of one thread each, a few batches ahead, in an order that a step's number tells."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from rt4d.errors import Rt4dError
from rt4d.provenance import cores
from rt4d.segmentation.training.patches import Patches

AHEAD = 4
MOST_WORKERS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """image: (batch, 2, z, y, x). share, inner: (batch, 1, z, y, x). All float32."""

    image: torch.Tensor
    share: torch.Tensor
    inner: torch.Tensor


class Feed(Iterator[Batch]):
    """Batches of one device from step `first` on, without end; `idle` is the share of the time that was spent waiting for them.

    A case that cannot be read is met as the error that says so, also where another process met it.
    """

    def __init__(self, patches: Patches, *, batch: int, first: int, rank: int = 0, devices: int = 1, workers: int = 1) -> None:
        numbers = ([(step * devices + rank) * batch + i for i in range(batch)] for step in itertools.count(first))
        self._loader = DataLoader(
            _Numbered(patches),
            batch_sampler=_Endless(numbers),
            num_workers=workers,
            prefetch_factor=AHEAD if workers else None,
            collate_fn=_together,
            worker_init_fn=_end_with_the_training,
        )
        self._batches: Iterator[Batch | Rt4dError] = iter(self._loader)
        self._began, self._waited = time.monotonic(), 0.0

    def __next__(self) -> Batch:
        asked = time.monotonic()
        batch = next(self._batches)
        self._waited += time.monotonic() - asked
        if isinstance(batch, Rt4dError):
            raise batch
        return batch

    @property
    def idle(self) -> float:
        return self._waited / max(time.monotonic() - self._began, 1e-9)

    def close(self) -> None:
        """End the processes."""
        self._batches = iter(())


def workers_for(device: str) -> int:
    """Processes that make patches: one beside a CPU's training, which needs the cores itself; most of the cores beside a GPU's."""
    return 1 if device == "cpu" else max(1, min(cores() - 1, MOST_WORKERS))


def _end_with_the_training(_number: int) -> None:
    """A batch system asks all processes to end at once: those that make patches wait for the training to save and to end them."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


class _Numbered(Dataset[_Arrays | Rt4dError]):
    """An error is handed on as it is: raised in the other process, it would come out as torch's account of that, traceback and all."""

    def __init__(self, patches: Patches) -> None:
        self._patches = patches

    def __getitem__(self, number: int) -> _Arrays | Rt4dError:
        try:
            patch = self._patches[number]
        except Rt4dError as error:
            return error
        return patch.image, patch.label, patch.inner


class _Endless:
    """What torch calls a batch sampler: lists of numbers."""

    def __init__(self, numbers: Iterator[list[int]]) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[list[int]]:
        return self._numbers


def _together(patches: Sequence[_Arrays | Rt4dError]) -> Batch | Rt4dError:
    """The patches as one batch, or the first error among them."""
    made: list[_Arrays] = []
    for patch in patches:
        if isinstance(patch, Rt4dError):
            return patch
        made.append(patch)
    return Batch(*(torch.from_numpy(np.stack(each)) for each in zip(*made, strict=True)))
