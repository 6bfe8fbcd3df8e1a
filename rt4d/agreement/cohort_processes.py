"""Patients side by side, each in a process of its own with one thread: quicker, and one that dies loses its own pairs only.

Processes are started with `sys.executable -m`, as the registrations are (rt4d.motion.processes): a script needs no main guard.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rt4d.agreement.cohort_pairs import PatientJob, compared, tidy_row
from rt4d.motion.processes import started

Row = dict[str, Any]


def in_processes(jobs: Sequence[PatientJob], *, workers: int) -> Iterator[Row]:
    """The tidy row of every pair of all patients as they come. Whatever ends the loop over them, no process is left behind."""
    if workers < 2 or len(jobs) < 2:
        for job in jobs:
            yield from compared(job)
        return
    waiting: queue.SimpleQueue[PatientJob] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    rows: queue.SimpleQueue[Row] = queue.SimpleQueue()
    crew = [_Worker(waiting, rows) for _ in range(min(workers, len(jobs)))]
    try:
        for worker in crew:
            worker.start()
        for _ in range(sum(len(job.pairs()) for job in jobs)):
            yield _next(rows, crew)
    finally:
        for worker in crew:
            worker.kill()
        for worker in crew:
            worker.join()


class _Worker(threading.Thread):
    """Takes patients from the queue and has one process compare their contours; starts another after it has died."""

    def __init__(self, waiting: queue.SimpleQueue[PatientJob], rows: queue.SimpleQueue[Row]) -> None:
        super().__init__(name="rt4d cohort", daemon=True)
        self._waiting, self._rows = waiting, rows
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="rt4d-cohort-") as folder:
            printed = Path(folder, "printed.txt")
            while not self._stopped:
                try:
                    job = self._waiting.get_nowait()
                except queue.Empty:
                    break
                self._do(job, printed)
            self._close()

    def kill(self) -> None:
        """Kill the process, and take no more patients."""
        self._stopped = True
        if (process := self._process) is not None:
            process.kill()

    def _do(self, job: PatientJob, printed: Path) -> None:
        """Have one patient's pairs compared; those that a dead process did not answer fail, and say why."""
        done = 0
        try:
            for row in self._answers(job, printed):
                self._rows.put(row)
                done += 1
            reason = ""
        except OSError as error:
            reason = f"the process that compares contours could not be used: {error}"
        for one, other in job.pairs()[done:]:
            why = reason or _why_it_ended(self._close(), printed)
            self._rows.put(tidy_row(job, one, other, (why, why)))
            reason = why

    def _answers(self, job: PatientJob, printed: Path) -> Iterator[Row]:
        process = self._process or self._start(printed)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(job.to_dict()) + "\n")
            process.stdin.flush()
        while (line := process.stdout.readline()).endswith("\n") and (row := json.loads(line)):  # one killed while it wrote leaves half a line
            yield row

    def _start(self, printed: Path) -> subprocess.Popen[str]:
        printed.unlink(missing_ok=True)
        self._process = started("rt4d.agreement.cohort_worker", printed=printed)
        if self._stopped:
            self._process.kill()
        return self._process

    def _close(self) -> int:
        """End the process; its exit code."""
        if (process := self._process) is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process = None
        return process.wait()


def _next(rows: queue.SimpleQueue[Row], crew: Sequence[threading.Thread]) -> Row:
    """The next row; waits in short turns, because on Windows Ctrl-C does not end a wait without a limit."""
    while True:
        with contextlib.suppress(queue.Empty):
            return rows.get(timeout=0.5)
        if not any(worker.is_alive() for worker in crew) and rows.empty():
            raise RuntimeError("the threads that compare contours have ended before their work")


def _why_it_ended(code: int, printed: Path) -> str:
    last = printed.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with code {code}"
    return f"the process that compares contours {how}" + (f": {last[0][:200]}" if last else "")
