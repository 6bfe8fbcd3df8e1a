from __future__ import annotations

import errno
import subprocess
import sys
import time

import pytest

from rt4d import cli
from rt4d.cli.values import margin
from rt4d.errors import InputError, OutputError, RegistrationError


def loaded_by(code: str) -> set[str]:
    run = subprocess.run([sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def seconds(*command: str) -> float:
    """The quickest of three: the machine may be busy."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        taken.append(time.perf_counter() - began)
    return min(taken)


def test_importing_rt4d_is_quick_and_loads_no_imaging_library():
    loaded = loaded_by("import rt4d")
    assert not loaded & {"torch", "itk", "monai", "SimpleITK", "pydicom", "numpy", "matplotlib", "typer"}
    assert seconds("-c", "import rt4d") < 0.3


def test_help_is_quick():
    assert seconds("-m", "rt4d", "--help") < 0.5
    assert not loaded_by("import rt4d.cli.app") & {"torch", "itk", "monai", "SimpleITK", "pydicom", "numpy", "matplotlib"}


def test_every_verb_has_help():
    for verb in ("scan", "itv", "contours", "register", "phantom", "demo"):
        assert cli.run([verb, "--help"]) == 0


@pytest.mark.parametrize(
    "arguments", [["itv"], ["itv", "x"], ["itv", "x", "--out", "y", "--wrong"], ["nothing"], ["itv", "x", "--out", "y", "--workers", "many"]]
)
def test_a_wrong_call_is_refused_in_one_line(arguments, capsys):
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rt4d: ")
    assert err.count("\n") == 1
    assert "--help" in err


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        (InputError("No", do="Do"), 2, "rt4d: No. Do\n"),
        (RegistrationError("lost"), 3, "rt4d: lost\n"),
        (OutputError("The disk is full"), 3, "rt4d: The disk is full\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/out/x"), 3, "rt4d: No space left on device (/out/x)\n"),
        (MemoryError(), 3, "rt4d: not enough memory. Close other programs, or use a machine with more\n"),
        (ZeroDivisionError("boom"), 3, "rt4d: internal error: ZeroDivisionError: boom. Please report it with the output of --debug\n"),
        (KeyboardInterrupt(), 130, "rt4d: interrupted; no result was left behind\n"),
    ],
)
def test_every_ending_has_its_code_and_one_line(monkeypatch, capsys, trouble, code, said):
    def fail(_arguments):
        raise trouble

    monkeypatch.setattr(cli, "_invoke", fail)
    assert cli.run([]) == code
    assert capsys.readouterr().err == said
    assert cli.run(["--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_margin_is_one_number_or_three():
    assert margin("5") == (5, 5, 5)
    assert margin("5,5,8.5") == (5, 5, 8.5)
    assert margin(None) is None
    for wrong in ("", "5,5", "5 mm", "-1", "nan", "1,2,3,4", "inf"):
        with pytest.raises(InputError, match="--margin"):
            margin(wrong)
