"""The report as one HTML file that fetches nothing: what was found first, then the figures that show it."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from typing import Any

from tune_lr.errors import MissingExtra
from tune_lr.experiment import Experiment
from tune_lr.record import headline
from tune_lr.views.report.facts import Facts, gather
from tune_lr.views.report.knobs import importance, parallel, slices
from tune_lr.views.report.past import prior
from tune_lr.views.report.progress import best_so_far, decisions, trials, workers
from tune_lr.views.report.section import Section, safe
from tune_lr.views.words import brief, counted, short

_SECTIONS: tuple[Callable[[Facts], Section | None], ...] = (
    best_so_far, trials, decisions, parallel, importance, slices, prior, workers,
)  # fmt: skip
_TOP, _FAILURES = 10, 5
#: Charts are drawn when they come near what is seen, or all before the page is printed.
_DRAW = """
const draw = at => {
  if (at.dataset.drawn) return;
  at.dataset.drawn = "yes";
  const chart = JSON.parse(document.getElementById(at.id + "-data").textContent);
  Plotly.newPlot(at, chart.data, chart.layout, {responsive: true, displaylogo: false, displayModeBar: false});
};
const charts = () => document.querySelectorAll(".plot"), drawAll = () => charts().forEach(draw);
addEventListener("beforeprint", drawAll);
addEventListener("load", () => {
  const near = new IntersectionObserver(seen => seen.forEach(one => {
    if (one.isIntersecting) { near.unobserve(one.target); draw(one.target); }
  }), {rootMargin: "600px"});
  charts().forEach(one => near.observe(one));
});
"""
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; margin: 0; background: #fff; }
main { max-width: 1120px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.5rem; margin: 0.4em 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 1.8em 0 0.3em; border-top: 1px solid #ddd; padding-top: 0.8em; }
p { max-width: 46em; overflow-wrap: anywhere; }
.summary { font-size: 1.15rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 8px; }
.chart { min-width: 0; }
.scroll { overflow-x: auto; }
.scroll .chart { min-width: 760px; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { text-align: right; padding: 3px 10px; border-bottom: 1px solid #eee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f5f5f5; padding: 10px; overflow-x: auto; font-size: 0.85rem; }
@media print { h2 { break-after: avoid; } .chart, pre, table { break-inside: avoid; } }
"""


def page(experiment: Experiment) -> str:
    """The page as HTML.

    Raises:
        MissingExtra: plotly is not installed.
        BadInput: the experiment's journal is damaged.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise MissingExtra("a report", "plot") from error

    facts = gather(experiment)
    parts = [_head(facts), _table(facts)]
    drawn = [section for make in _SECTIONS if (section := make(facts)) is not None]
    parts += [_section(section, number) for number, section in enumerate(drawn)]
    parts += [_code(facts), _again(facts)]
    title = html.escape(brief(experiment.where, 200))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><link rel='icon' href='data:,'><style>{_STYLE}</style>"
        f"<script>{get_plotlyjs()}</script></head><body><main>\n{''.join(parts)}\n</main>"
        f"<script>{_DRAW}</script></body></html>\n"
    )


def _head(facts: Facts) -> str:
    name = html.escape(brief(facts.experiment.where, 200))
    prior = f"<p>{html.escape(facts.prior)}</p>" if facts.prior else ""
    return f"<h1>{name}</h1><p class='summary'>{html.escape(facts.sentence)}</p>{prior}{_failures(facts)}"


def _failures(facts: Facts) -> str:
    failed = facts.record.with_status("failed")
    if not failed:
        return ""
    items = "".join(
        f"<li>trial {safe(trial.trial_id)}: {html.escape(brief(headline(trial.error or ''), 300))}</li>"
        for trial in failed[:_FAILURES]
    )
    return f"<p>{counted(len(failed), 'trial')} failed:</p><ul>{items}</ul>"


def _table(facts: Facts) -> str:
    """The best trials."""
    if not facts.ranked:
        return ""
    names = facts.by_importance[:8]
    head = "".join(
        f"<th>{safe(name, 24)}</th>" for name in ["trial", "status", "epochs", facts.metric, *names]
    )
    rows = ""
    for trial in facts.ranked[:_TOP]:
        cells = [trial.trial_id, trial.status, str(trial.epochs), short(facts.value(trial))]
        cells += [short(trial.config.get(name, trial.values.get(name))) for name in names]
        rows += "<tr>" + "".join(f"<td>{safe(cell, 24)}</td>" for cell in cells) + "</tr>"
    return (
        f"<h2>The best trials</h2><div class='scroll'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _section(section: Section, number: int) -> str:
    note = f"<p>{html.escape(section.note)}</p>" if section.note else ""
    divs = "".join(
        f"<div class='chart'>{_div(drawn, f'chart-{number}-{at}')}</div>"
        for at, drawn in enumerate(section.charts)
    )
    kind = "scroll" if section.wide else "charts"
    charts = f"<div class='{kind}'>{divs}</div>" if divs else ""
    return f"<section><h2>{html.escape(section.title)}</h2>{note}{charts}{section.body}</section>"


def _div(drawn: Any, name: str) -> str:
    """A chart as HTML: its place, and its data, in which nothing can end the script that holds them."""
    from plotly.io import to_json

    data = str(to_json(drawn, validate=False))
    for mark in "<>&\u2028\u2029":
        data = data.replace(mark, f"\\u{ord(mark):04x}")
    return (
        f"<div class='plot' id='{name}' style='height:{drawn.layout.height}px'></div>"
        f"<script type='application/json' id='{name}-data'>{data}</script>"
    )


def _code(facts: Facts) -> str:
    if not facts.code:
        return ""
    blocks = "".join(
        f"<h3>{html.escape(name)}</h3><pre><code>{html.escape(code)}</code></pre>"
        for name, code in facts.code.items()
    )
    return f"<section><h2>Use the best</h2>{blocks}</section>"


def _again(facts: Facts) -> str:
    """How to make it again, and what is left to do."""
    job, where = facts.experiment.job, facts.experiment.where
    lines = [facts.command, f"tune-lr confirm {where}   # train the best again with fresh seeds"]
    code = html.escape("\n".join(lines))
    seconds = facts.record.seconds
    told = f"Seed {job.seed}, engine {job.engine}, searcher {job.searcher}, "
    told += f"trial scheduler {job.trial_scheduler}."
    told += (
        f" It took {short(seconds) if math.isfinite(seconds) else '?'} s. Versions are in experiment.json."
    )
    return (
        f"<section><h2>Make it again</h2><pre><code>{code}</code></pre><p>{html.escape(told)}</p></section>"
    )
