"""A folder of results that appears whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rt4d.errors import InputError, OutputError

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def require_new_folder(out: str | Path, *, not_inside: str | Path | None = None) -> Path:
    """The absolute path of a folder for results: new or empty, writable (which is tried), not inside the input. Nothing is left there.

    Raises InputError otherwise, so that a long job is refused before it begins.
    """
    out = Path(out).absolute()
    if not_inside is not None and out.resolve().is_relative_to(Path(not_inside).resolve()):
        raise InputError("The output folder must not lie inside the input folder", where=out, do="Give --out another place")
    if out.exists() and not out.is_dir():
        raise InputError("The output is a file", where=out, expected="a new or empty folder")
    if out.is_dir() and any(out.iterdir()):
        raise InputError("The output folder is not empty", where=out, expected="a new or empty folder", do="Give another, or empty this one")
    above = next(folder for folder in (out, *out.parents) if folder.exists())
    try:
        Path(tempfile.mkdtemp(prefix=".rt4d-partial-", dir=above)).rmdir()
    except OSError as error:
        do = "Give --out a place where you may write"
        raise InputError("The output folder cannot be written", where=above, found=error.strerror, do=do) from error
    return out


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into; its content appears in `out` when the block ends well, and is removed when it does not.

    An existing empty `out` (a mount, a shared folder) is filled file by file in the last moment, and is empty again where that ends
    early; a new one appears at once.
    Raises OutputError where the disk is full.
    """
    exists = out.is_dir()
    parents: list[Path] = []
    moved: list[Path] = []
    staging: Path | None = None
    try:
        parents = [] if exists else _make_parents(out.parent)
        staging = Path(tempfile.mkdtemp(prefix=".rt4d-partial-", dir=out if exists else out.parent))
        yield staging
        staging.chmod(0o777 & ~_umask())
        if exists:
            for entry in sorted(staging.iterdir()):
                moved.append(out / entry.name)
                entry.rename(moved[-1])
        else:
            staging.rename(out)
        parents, moved = [], []
    except OSError as error:
        if error.errno in NO_SPACE:
            raise OutputError("The disk is full", where=out, do="Free some space or give --out another disk; nothing was left behind") from error
        if staging is None:
            do = "Give --out a place where you may write"
            raise InputError("The output folder cannot be written", where=out, found=error.strerror, do=do) from error
        raise
    finally:
        if staging is not None:
            for entry in moved:
                if not (staging / entry.name).exists():
                    _remove(entry)
            shutil.rmtree(staging, ignore_errors=True)
        for folder in parents:
            folder.rmdir()


def _make_parents(folder: Path) -> list[Path]:
    """The missing parents, made; innermost first, so that they can be taken away again."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove(entry: Path) -> None:
    """Take away a file or a folder, if it is there."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
