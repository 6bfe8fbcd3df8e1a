"""The command line: `rt4d VERB`. One module per verb, each thin; what they share is how they end.

Exit code 0: done. 1: finished, but a quality check failed. 2: the input or the call was refused. 3: it could not be finished. 130: interrupted.
A result goes to stdout, everything else to stderr. Errors are one line; --debug adds the traceback.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from types import FrameType

from rt4d.errors import InputError, Rt4dError

DONE, CHECK_FAILED, REFUSED, UNFINISHED, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143


def main(arguments: list[str] | None = None) -> None:
    """Run a verb and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """The exit code of a command line."""
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        with _terminated_like_interrupted():
            return _invoke(arguments)
    except KeyboardInterrupt:
        # Ctrl-C inside code that was made from text (dataclasses do that on import) is remembered by CPython, which then ends the process
        # by the signal whatever the exit code; running some more makes it forget.
        exec("")  # noqa: S102
        return _told("interrupted; no result was left behind", INTERRUPTED, debug=debug)
    except Terminated:
        return _told("terminated; no result was left behind", TERMINATED, debug=debug)
    except InputError as error:
        return _told(str(error), REFUSED, debug=debug)
    except Rt4dError as error:
        return _told(str(error), UNFINISHED, debug=debug)
    except MemoryError:
        return _told("not enough memory. Close other programs, or use a machine with more", UNFINISHED, debug=debug)
    except BrokenPipeError:  # `rt4d scan DIR | head`: whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _told(f"{error.strerror or error}{where}", UNFINISHED, debug=debug)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line for the user, the traceback on request
        return _told(f"internal error: {type(error).__name__}: {error}. Please report it with the output of --debug", UNFINISHED, debug=debug)


def _invoke(arguments: list[str]) -> int:
    import typer

    from rt4d.cli.app import app

    click_exception: type[Exception] = typer.BadParameter.__mro__[2]  # under this name in every version of typer
    try:
        code = int(app(args=arguments, standalone_mode=False, prog_name="rt4d") or DONE)
    except typer.Exit as leave:
        code = int(leave.exit_code)
    except typer.Abort:
        code = INTERRUPTED
    except click_exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(f"{error}\n")
            return REFUSED
        context = getattr(error, "ctx", None)
        hint = f". See `{context.command_path} --help`" if context else ""
        said = getattr(error, "format_message", error.__str__)()
        return _told(f"{said.rstrip('.')}{hint}", REFUSED, debug=False)
    if code == INTERRUPTED:  # typer has already made an exit code of Ctrl-C
        raise KeyboardInterrupt
    return code


class Terminated(BaseException):
    """The process was asked to end (SIGTERM): cleaned up like an interruption, told apart in the exit code."""


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    def terminate(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not in the main thread: whoever runs us there handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _told(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"rt4d: {' '.join(message.split())}\n")
    return code
