"""Registrations side by side, each in a process of its own with one thread, so that the result is the same on any number of cores.

Processes are started with `sys.executable -m`, not forked and not by multiprocessing: a planning script needs no `if __name__ == '__main__'`
on any system, and a crash inside elastix ends one registration, not the user's session.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import rt4d

ONE_THREAD = {
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TBB_NUM_THREADS": "1",
}


def started(module: str, *, printed: Path) -> subprocess.Popen[str]:
    """A process of one thread that runs a module of ours, with pipes to talk to it; what it prints as errors is added to a file."""
    path = os.pathsep.join(filter(None, [str(Path(rt4d.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]))
    with printed.open("a", encoding="utf-8") as stderr:
        return subprocess.Popen(  # noqa: S603  our own module
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": path, "PYTHONUTF8": "1"},
        )


def cores() -> int:
    """The cores that this process may use (a container or a batch system may give it fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(folders: Iterable[Path], *, workers: int, done: Callable[[Path], None]) -> dict[Path, str]:
    """Do the jobs in these folders with so many processes; the reason by folder where a process died of one.

    `done` is called in the caller's thread after each job. Whatever ends this call (Ctrl-C too), no process is left behind.
    """
    waiting: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
    finished: queue.SimpleQueue[tuple[Path, str]] = queue.SimpleQueue()
    jobs = list(folders)
    for folder in jobs:
        waiting.put(folder)
    crew = [_Worker(waiting, finished) for _ in range(max(1, min(workers, len(jobs))))]
    died: dict[Path, str] = {}
    try:
        for worker in crew:
            worker.start()
        for _ in jobs:
            folder, reason = _next(finished)
            if reason:
                died[folder] = reason
            done(folder)
    finally:
        for worker in crew:
            worker.kill()
        for _ in crew:
            waiting.put(None)
        for worker in crew:
            worker.end()
    return died


class _Worker(threading.Thread):
    """Feeds one process; starts another after a process has died."""

    def __init__(self, waiting: queue.SimpleQueue[Path | None], finished: queue.SimpleQueue[tuple[Path, str]]) -> None:
        super().__init__(name="rt4d registration", daemon=True)
        self._waiting, self._finished = waiting, finished
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def run(self) -> None:
        while (folder := self._waiting.get()) is not None and not self._stopped:
            try:
                reason = self._send(folder)
            except OSError as error:
                reason = f"the registration process could not be used: {error}"
            self._finished.put((folder, reason))

    def kill(self) -> None:
        """Kill the process, and take no more jobs."""
        self._stopped = True
        if (process := self._process) is not None:
            process.kill()

    def end(self) -> None:
        """Wait for the thread, which a None in the queue lets go."""
        if self.ident is not None:
            self.join()
        self._close()

    def _send(self, folder: Path) -> str:
        """Have one job done; '' or why the process ended."""
        process = self._process or self._start(folder)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{folder}\n")
            process.stdin.flush()
        if process.stdout.readline():
            return ""
        code = process.wait()
        self._close()
        return _why_it_ended(code, folder)

    def _start(self, folder: Path) -> subprocess.Popen[str]:
        self._process = started("rt4d.motion.worker", printed=folder / "printed.txt")
        if self._stopped:
            self._process.kill()
        return self._process

    def _close(self) -> None:
        if (process := self._process) is not None:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._process = None


def _next(finished: queue.SimpleQueue[tuple[Path, str]]) -> tuple[Path, str]:
    """The next answer; waits in short turns, because on Windows Ctrl-C does not end a wait without a limit."""
    while True:
        with contextlib.suppress(queue.Empty):
            return finished.get(timeout=0.5)


def _why_it_ended(code: int, folder: Path) -> str:
    printed = folder / "printed.txt"
    last = printed.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] if printed.is_file() else []
    how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with code {code}"
    return f"the registration process {how}" + (f": {last[0][:200]}" if last else "")
