"""The process in which registrations run: `python -m rt4d.motion.worker`. One at a time, in one thread.

On standard input comes the path of a job's folder per line; on standard output goes a line per finished job. A job's folder holds
`job.json` and the arrays it names; the answer is `field.npy`, or `reason.txt` where the registration failed. Whatever elastix
or ITK print goes to `printed.txt`, never to the user's terminal.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from rt4d.errors import RegistrationError


def main() -> None:
    _leave_torch_out()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        _print_into(folder / "printed.txt")
        try:
            np.save(folder / "field.npy", _do(folder))
        except (RegistrationError, MemoryError) as error:
            (folder / "reason.txt").write_text(str(error) or "out of memory", encoding="utf-8")
        answers.write("done\n")


def _leave_torch_out() -> None:
    """Where PyTorch is installed, ITK's filters load it to convert its tensors: seconds and 200 MB per process, for nothing here."""
    from itk.support import helpers

    helpers._HAVE_TORCH = False  # noqa: SLF001 - ITK has no public word for it


def _do(folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    from rt4d.motion import elastix

    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    mask = job["mask"]
    return elastix.register(
        np.load(job["reference"]),
        np.load(job["phase"]),
        spacing_mm=tuple(job["spacing_mm"]),
        phase_offset_mm=tuple(job["phase_offset_mm"]),
        parameter_files=[Path(path) for path in job["parameter_files"]],
        mask=np.load(mask) if mask else None,
        mask_from=job["mask_from"],
        folder=folder,
    )


def _print_into(path: Path) -> None:
    """Point this process' standard output and error, C++ included, at a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


if __name__ == "__main__":
    main()
