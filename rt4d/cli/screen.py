"""Progress on stderr while a long job runs: bars where somebody watches, plain lines where a script does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rt4d.rois import Progress


@contextmanager
def progress() -> Iterator[Progress]:
    """A Progress that draws one bar per stage on a terminal, and elsewhere one line when a stage is done."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, object] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        yield show


def _lines() -> Progress:
    began: dict[str, float] = {}

    def show(stage: str, done: int, total: int) -> None:
        began.setdefault(stage, time.monotonic())
        if done == total:
            sys.stderr.write(f"{stage}: {done} of {total} in {time.monotonic() - began.pop(stage):.1f} s\n")

    return show
