"""``tune-lr report``: an experiment as one page to show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_lr.cli import options
from tune_lr.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from tune_lr.experiment import Experiment

_FORMATS = ("html", "png", "json", "md")


def report(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="The experiment's folder or URI.")],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Where to; FOLDER/report.html if not given, - for standard output."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--format", metavar="|".join(_FORMATS), help="As the file's name says, else html."),
    ] = None,
    verbose: options.Verbose = False,
) -> None:
    """Write a report: one page that needs no network, with what was found, the figures, and code to paste.

    Also of an experiment that is running.
    """
    from tune_lr.experiment import Experiment

    experiment = Experiment.open(folder)
    named = Path(out).suffix.lstrip(".").lower() if out not in (None, "-") else ""
    form = kind or {"": "html", "htm": "html", "markdown": "md"}.get(named, named)
    if form not in _FORMATS:
        raise UnknownName("report format", form, _FORMATS)
    inside = experiment.path if experiment.uri and experiment.path else Path(experiment.where)
    file = Path(out) if out is not None else inside / f"report.{form}"
    if form == "png":
        if out == "-":
            raise BadInput("--out", out, "a file, for a picture")
        from tune_lr.views import draw

        draw.write(experiment, file, None)
        typer.echo(str(file))
        return
    text = _text(experiment, form)
    if out == "-":
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadInput("--out", str(file), f"a file that can be written ({error.strerror})") from error
    typer.echo(str(file))


def _text(experiment: Experiment, form: str) -> str:
    if form == "html":
        from tune_lr.views.report.page import page

        return page(experiment)
    if form == "md":
        from tune_lr.views.report.markdown import markdown

        return markdown(experiment)
    from tune_lr.views.report.facts import gather

    return json.dumps(gather(experiment).to_dict(), indent=1, ensure_ascii=False, default=str) + "\n"
