"""Where the training computes: the CPU, a GPU, or several GPUs that torchrun has started a process for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True, slots=True)
class Place:
    """The device of this process, its number among `count` of them, and the precision of products (None: single throughout)."""

    device: torch.device
    rank: int = 0
    count: int = 1
    precision: torch.dtype | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes, validates and speaks."""
        return self.rank == 0

    def mixed(self) -> AbstractContextManager[None]:
        """Products in half precision, sums and losses in single."""
        return torch.autocast(self.device.type, dtype=self.precision or torch.bfloat16, enabled=self.precision is not None)

    def told(self, value: float) -> float:
        """What the first process says, in all of them."""
        if self.count == 1:
            return value
        said = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(said, src=0)
        return float(said)

    def spread(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network as it learns on all devices together."""
        if self.count == 1:
            return network
        return torch.nn.parallel.DistributedDataParallel(network, device_ids=[self.device.index] if self.device.type == "cuda" else None)


@contextmanager
def place(*, mixed_precision: bool) -> Iterator[Place]:
    """The place of this process: as torchrun says (WORLD_SIZE, RANK, LOCAL_RANK), else the first GPU, else the CPU."""
    rank, count, local = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if count > 1:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Place(device, rank, count, _half(device) if mixed_precision else None)
    finally:
        if count > 1:
            distributed.destroy_process_group()


def _half(device: torch.device) -> torch.dtype | None:
    """Bfloat16 where the device computes in it; float16 on older GPUs; none on a CPU that would only imitate it."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    has_bfloat16: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - torch has no public word for it
    return torch.bfloat16 if has_bfloat16 else None
