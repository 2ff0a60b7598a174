"""``replay``: any searcher and trial scheduler over recorded curves, in simulated time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

from tune_lr import registry
from tune_lr.assembly import assemble
from tune_lr.driver import Driver
from tune_lr.engines.base import Engine
from tune_lr.engines.replay import OverTable, Simulated, Simulation, Table
from tune_lr.errors import BadInput
from tune_lr.job import Job
from tune_lr.journal import Journal
from tune_lr.objective import Objective
from tune_lr.searchers.base import Searcher
from tune_lr.space import SearchSpace
from tune_lr.stopping.base import TrialScheduler

if TYPE_CHECKING:
    import pandas as pd

_METRIC = "value"
_COLUMNS = ("trial_id", "config_index", "epoch", "value", "time")


def replay(
    space: SearchSpace,
    configs: Sequence[Mapping[str, Any]],
    curves: ArrayLike,
    *,
    searcher: str | Searcher,
    trial_scheduler: str | TrialScheduler,
    prior: Any = None,
    mode: Literal["min", "max"] = "min",
    budget: int | str,
    workers: int = 1,
    seed: int = 0,
    cost: ArrayLike | None = None,
    engine: str | None = None,
) -> pd.DataFrame:
    """What a searcher and a trial scheduler would have found, had they trained what was recorded.

    The same driver, searcher and trial scheduler as in a real job; only the trainings are read from the
    table. A searcher that takes ``candidates`` proposes rows of the table; for what any other proposes, the
    nearest row that was not tried yet is taken.

    Args:
        space: where the searcher searches.
        configs: N configurations, points of the space (or as trainers get them), all different.
        curves: the metric after each epoch, shape (N, E); NaN from where a training diverged.
        searcher: a registered name, or a fresh one over ``space``.
        trial_scheduler: likewise.
        prior: what past experiments teach, for searchers that take one.
        mode: whether small or large values are good.
        budget: epochs, or as in a job: ``"520epochs"``, ``"600s"`` of simulated time.
        workers: how many trials are trained at a time.
        seed: repeatable by it.
        cost: seconds that an epoch takes: one number, N of them, or N x E; 1 if not given.
        engine: through whose simulator: ``syne-tune`` for Syne Tune's ``Tuner`` and ``SimulatorBackend``;
            None for tune-lr's own, which is many times faster and gives the same.

    Returns:
        One row a paid report, in the order of time: ``trial_id``, ``config_index`` (the row of ``configs``),
        ``epoch``, ``value``, ``time`` (simulated seconds since the beginning).

    Raises:
        BadInput: something asked for cannot be used, or configurations and curves do not fit.
    """
    import pandas as pd

    table = Table.of(space, configs, curves, cost)
    job = _job(space, table, searcher, trial_scheduler, mode, budget, workers, seed)
    inner, scheduler = _parts(job, table, searcher, trial_scheduler, prior)
    over = OverTable(inner, table)
    simulation = _simulation(engine)(table, over, job.objective)
    rows: list[tuple[str, int, int, float, float]] = []

    def write_down(event: Mapping[str, Any], _: Any) -> None:
        if event["event"] == "report":
            trial_id, epoch = event["trial_id"], event["epoch"]
            row = over.row_of[trial_id]
            rows.append((trial_id, row, epoch, float(table.curves[row, epoch - 1]), simulation.clock()))

    driver = Driver(job, Journal(None), None, over, scheduler, (write_down,), simulation.clock)
    simulation.run(driver)
    found: pd.DataFrame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return found


def _simulation(engine: str | None) -> Callable[[Table, OverTable, Objective], Simulated]:
    """Whose simulator it is."""
    if engine is None:
        return Simulation
    made: Engine = registry.load("engines", engine)()
    return made.simulation


def _job(
    space: SearchSpace,
    table: Table,
    searcher: str | Searcher,
    trial_scheduler: str | TrialScheduler,
    mode: str,
    budget: int | str,
    workers: int,
    seed: int,
) -> Job:
    if isinstance(budget, bool):
        raise BadInput("budget", budget, "epochs, or a text such as 520epochs or 600s")
    return Job.make(
        {
            "trainer": "<replay>",
            "space": space.to_dict(),
            "searcher": searcher if isinstance(searcher, str) else "random",
            "trial_scheduler": trial_scheduler if isinstance(trial_scheduler, str) else "none",
            "trials": len(table.values),
            "max_epochs": table.curves.shape[1],
            "workers": workers,
            "seed": seed,
            "metric": _METRIC,
            "mode": mode,
            "budget": f"{budget}epochs" if isinstance(budget, int) else budget,
        }
    )


def _parts(
    job: Job,
    table: Table,
    searcher: str | Searcher,
    trial_scheduler: str | TrialScheduler,
    prior: Any,
) -> tuple[Searcher, TrialScheduler]:
    """The two that decide, each built if only named."""
    made, rule = assemble(job, prior=prior, candidates=table.values)
    return (
        made if isinstance(searcher, str) else searcher,
        rule if isinstance(trial_scheduler, str) else trial_scheduler,
    )
