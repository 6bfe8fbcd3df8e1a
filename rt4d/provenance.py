"""What a result was made of: versions, input UIDs, recipe, hashes, times. No names of patients, no paths."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rt4d import __version__
from rt4d.phases import CtImage, FourDCT

LIBRARIES = ("numpy", "scipy", "SimpleITK", "itk-elastix", "pydicom", "torch", "monai")


@dataclass
class Stopwatch:
    """Seconds per stage of a job, in the order in which stages began."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - began, 3)


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {"rt4d": __version__, "python": platform.python_version(), "platform": platform.platform()} | {
        name: importlib.metadata.version(name) for name in LIBRARIES
    }


def input_record(ct: FourDCT, *, structure_sets: list[Path], planning: CtImage | None) -> dict[str, Any]:
    """The UIDs of every image that went in, by phase, and the hash of every structure set."""
    return {
        "frame_of_reference": ct.geometry.frame_of_reference,
        "phases": {phase.label: _image_record(phase) for phase in ct},
        "phases_told_by": ct.told_by,
        "planning": _image_record(planning) if planning else None,
        "structure_sets": [{"sha256": sha256(path)} for path in structure_sets],
    }


def folder_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its path in it."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def peak_memory_mib() -> float | None:
    """The largest memory that this process and the largest of its children have held, added up; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return round(sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / unit, 1)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _image_record(image: CtImage) -> dict[str, Any]:
    identity = image.identity
    return {
        "study_uid": identity.study_uid,
        "series_uid": identity.series_uid,
        "sop_instance_uids": list(dict.fromkeys(identity.sop_instance_uids)),
    }
