"""A folder of synthetic training scans, one .npz each: python benchmarks/synthetic_scans.py DATA OUT --scans 200 --seed 1000 --part train [--small 6]

DATA holds thorax_no_tumour, gtv_shapes and lidc_nodules. Scan n is made from seed + n and nothing else, so a run that was stopped goes on where it
was, and several machines can share one. Every fourth chest is a generated one, of its own seed; the others are the real CT, warped.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from rt4d.images import read_volume
from rt4d.segmentation.cases import write_case
from rt4d.segmentation.synthesis import Host, MaskShape, Nodule, generated_host, host_from, make_scan, read_nodules, read_shapes

GENERATED_EVERY = 4


def main() -> None:
    """Make what is not there yet; a line per scan and the kinds at the end."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    todo = [seed for seed in range(asked.seed, asked.seed + asked.scans) if not _path(asked.out, seed, asked.part).is_file()]
    kinds: Counter[str] = Counter()
    began = time.perf_counter()
    with ProcessPoolExecutor(asked.workers) as pool:
        jobs = [(asked.data, asked.out, asked.part, seed, asked.small) for seed in todo]
        for done, (line, found) in enumerate(pool.map(_make, jobs), start=1):
            kinds.update(found)
            print(f"{done}/{len(todo)} {line}", flush=True)
    print(f"{len(todo)} scans in {time.perf_counter() - began:.0f} s: {dict(kinds)}")


def _make(job: tuple[Path, Path, str, int, int]) -> tuple[str, list[str]]:
    data, out, part, seed, small = job
    began = time.perf_counter()
    shapes, nodules = _material(data, part)
    host = generated_host(seed) if seed % GENERATED_EVERY == GENERATED_EVERY - 1 else _real_host(data)
    case = make_scan(seed, host=host, shapes=shapes, nodules=nodules, small=small)
    path = write_case(_path(out, seed, part), case)
    lesions = case.made["lesions"]
    volumes = " ".join(f"{volume:.1f}" for volume in case.volumes_cm3)
    return f"{path.name} {time.perf_counter() - began:.1f} s, {case.host}, cm³: {volumes or 'none'}", [lesion["kind"] for lesion in lesions]


@cache
def _material(data: Path, part: str) -> tuple[Sequence[MaskShape], Sequence[Nodule]]:
    if part not in ("train", "held"):
        raise SystemExit("--part is train or held")
    named = "train" if part == "train" else "held"
    return (
        read_shapes(data / "gtv_shapes" / "rtog0617_machine_gtv.npz", part=named),  # type: ignore[arg-type]
        read_nodules(data / "lidc_nodules", part=named),  # type: ignore[arg-type]
    )


@cache
def _real_host(data: Path) -> Host:
    return host_from(read_volume(data / "thorax_no_tumour" / "ct.nii.gz"), "thorax_no_tumour")


def _path(out: Path, seed: int, part: str) -> Path:
    return out / f"{part}_{seed:06d}.npz"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=["train", "held"], default="train")
    parser.add_argument("--small", type=int, default=0, help="so many small lesions more in each")
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
