"""The verbs in one application. Each verb's module imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from rt4d import __version__
from rt4d.cli.commission import commission
from rt4d.cli.compare import compare
from rt4d.cli.contours import contours
from rt4d.cli.demo import demo
from rt4d.cli.itv import itv
from rt4d.cli.outcomes import outcomes
from rt4d.cli.phantom import phantom
from rt4d.cli.register import register
from rt4d.cli.scan import scan
from rt4d.cli.segment import segment
from rt4d.cli.train import train

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"rt4d {__version__}")
        raise typer.Exit


@app.callback()
def rt4d(
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="With an error, print the traceback too (may stand anywhere).")] = False,
) -> None:
    """From a respiratory 4D-CT to an internal target volume that a medical physicist can defend.

    Not for clinical use without local commissioning.
    """


for verb in (scan, itv, segment, contours, compare, register, phantom, commission, outcomes, demo, train):
    app.command()(verb)
