"""Who may import whom (docs/architecture.md), read from the source of every module of the package.

Imports inside functions count like any other. Imports under ``TYPE_CHECKING`` count for the layers, since a
module that names a type knows its owner, but not for circles, since they never run.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "tune_lr"
LONGEST = 300

GROUND = {"journal", "registry", "errors"}
VALUES = {"space", "objective"} | GROUND
PAST = {"prior", "history"} | VALUES
RULES = {"searchers", "stopping"} | PAST
TRAINING = {"trials", "schedules"}
ASKED = {"job", "record"}
RECORD = {"experiment", "driver", "spacefile"} | ASKED | RULES

#: layer -> the layers it may import besides itself. A module belongs to the longest name that fits it.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "registry": {"errors"},
    "journal": {"registry", "errors"},
    "objective": GROUND,
    "plain_yaml": GROUND,
    "space": GROUND,
    "spacefile": {"space", "plain_yaml"} | GROUND,
    "schedules": {"registry", "errors"},
    "trials": {"schedules", "trials.decisions"} | VALUES,
    # The file of a trial's folder that people look at; it needs no torch.
    "trials.decisions": {"schedules"} | GROUND,
    # An experiment's own journal is a log as well, and its record a pure fold of it.
    "history": {"record", "spacefile", "plain_yaml"} | VALUES,
    "prior": {"history"} | VALUES,
    "searchers": PAST,
    # A rule that proposes configurations as well (population-based training) brings its own searcher.
    "stopping": {"searchers"} | PAST,
    "budget": {"errors"},
    "ending": {"budget", "errors"},
    "job": {"budget", "ending"} | VALUES,
    "record": VALUES,
    "tables": ASKED | VALUES,
    "mirror": GROUND,
    "signals": set(),
    "place": GROUND,
    # A trial's own folder holds reports that the journal may lack, and how its training ended.
    "checkpoints": ASKED | {"trials"} | VALUES,
    "driver": ASKED | {"trials", "checkpoints", "clock", "telling", "ending"} | RULES,
    "telling": ASKED | {"ending"} | RULES,
    "clock": set(),
    "assembly": ASKED | RULES,
    "description": {"job"} | VALUES,
    "experiment": {
        "assembly",
        "description",
        "trials",
        "trials.decisions",
        "tables",
        "mirror",
        "signals",
        "place",
    }
    | RECORD - {"experiment"},
    "engines": TRAINING | RECORD,
    "engines.on_ray": {"engines"} | TRAINING | RECORD,
    "engines.on_syne": {"engines"} | TRAINING | RECORD,
    # Pure functions of what experiments' journals hold, and of what was asked.
    "comparing": ASKED | {"budget"} | VALUES,
    # Listeners that send what happens to other people's tools.
    "sinks": {"record"} | VALUES,
    "jobs": {"engines", "assembly", "description", "sinks", "comparing", "place"} | TRAINING | RECORD,
    # Studies run jobs and lone trainings, and keep a folder of their own.
    "bench": {"jobs", "place", "comparing"} | TRAINING | RECORD,
    "learning": {"history"} | TRAINING | VALUES,
    "views": {"experiment", "budget", "comparing", "spacefile", "prior", "history", "trials.decisions"}
    | ASKED
    | VALUES,
    "cli": {
        "bench",
        "comparing",
        "jobs",
        "trials",
        "views",
        "learning",
        "experiment",
        "spacefile",
        "plain_yaml",
        "place",
    }
    | PAST
    | ASKED,
}

#: other people's package -> the only layers that may name it.
FOREIGN: dict[str, set[str]] = {
    "ray": {"engines.on_ray"},
    "optuna": {"engines.on_ray"},
    "syne_tune": {"engines.on_syne"},
    "typer": {"cli"},
}


@dataclass(frozen=True)
class Import:
    """One import: the module that makes it, what it asks for, and where."""

    source: str
    target: str
    line: int
    typing_only: bool = False


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file, for a package and all below it."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(name: str, file: Path, known: set[str]) -> Iterator[Import]:
    """Every import in one file, also those by ``import_module`` with a name that stands there."""

    def targets(node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name if file.name == "__init__.py" else name.rpartition(".")[0]
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            # `from package import module` asks for the module, anything else for its owner.
            return [full if (full := f"{base}.{a.name}") in known else base for a in node.names]
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                return [node.args[0].value]
        return []

    def walk(node: ast.AST, typing_only: bool) -> Iterator[Import]:
        for target in targets(node):
            yield Import(name, target, node.lineno, typing_only)  # type: ignore[attr-defined]
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from walk(child, True)
            for child in node.orelse:
                yield from walk(child, typing_only)
            return
        for child in ast.iter_child_nodes(node):
            yield from walk(child, typing_only)

    yield from walk(ast.parse(file.read_text("utf-8"), str(file)), False)


def all_imports(package: Path) -> list[Import]:
    found = modules(package)
    return [i for name, file in found.items() for i in imports(name, file, set(found))]


def layer(module: str) -> str | None:
    """The layer of a module of the package; None for the package itself and for a stranger."""
    parts = module.split(".")[1:]
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in MAY_IMPORT:
            return name
    return None


def violations(package: Path) -> list[str]:
    """Every import that the tables forbid, as a line to read."""
    wrong = []
    for made in all_imports(package):
        where, own = f"{made.source}:{made.line}", layer(made.source)
        top = made.target.split(".")[0]
        if own is None:  # the public names: tune_lr/__init__.py may name any owner
            if made.source != package.name:
                wrong.append(f"{where}: the module belongs to no layer; add it to MAY_IMPORT")
            continue
        if top in FOREIGN and own not in FOREIGN[top]:
            wrong.append(f"{where}: {own} names {top}, which only {' and '.join(sorted(FOREIGN[top]))} may")
        if top != package.name:
            continue
        asked = layer(made.target)
        if asked is None:
            wrong.append(f"{where}: import {made.target} from the module that owns it, not from the package")
        elif asked not in {own} | MAY_IMPORT[own]:
            wrong.append(f"{where}: {own} must not import {asked} ({made.target})")
    return wrong


def circle(package: Path) -> list[str]:
    """The modules of one circle of imports that run, or nothing."""
    graph: dict[str, set[str]] = {name: set() for name in modules(package)}
    for made in all_imports(package):
        if made.target in graph and made.source not in (made.target, package.name) and not made.typing_only:
            graph[made.source].add(made.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_import_goes_downwards() -> None:
    assert violations(PACKAGE) == []


def test_no_imports_go_in_a_circle() -> None:
    assert circle(PACKAGE) == []


def test_no_file_is_too_long_to_read() -> None:
    lengths = {name: len(file.read_text("utf-8").splitlines()) for name, file in modules(PACKAGE).items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_the_table_is_itself_without_a_circle() -> None:
    assert set().union(*MAY_IMPORT.values()) <= set(MAY_IMPORT)
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()


# The walker bites: each of these is a small package with one thing wrong in it, or nothing.
def house(folder: Path, **files: str) -> Path:
    package = folder / "tune_lr"
    for name, source in {"__init__": "", **files}.items():
        file = package / f"{name.replace('__init__', '@').replace('__', '/').replace('@', '__init__')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return package


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("space", "from tune_lr.experiment import Job", "space must not import experiment"),
        ("space", "def f():\n    import tune_lr.jobs", "space must not import jobs"),
        ("space", "class A:\n    def f(self):\n        from . import cli", "space must not import cli"),
        ("searchers__base", "from ..experiment import Job", "searchers must not import experiment"),
        ("schedules____init__", "from ..trials import loop", "schedules must not import trials"),
        ("stopping__asha", "try:\n    import ray\nexcept ImportError:\n    pass", "stopping names ray"),
        ("engines__base", "import syne_tune.backend", "engines names syne_tune"),
        ("engines__base", "import tune_lr.engines.on_ray.launch", "engines must not import engines.on_ray"),
        ("engines__on_ray__launch", "import tune_lr.engines.on_syne", "must not import engines.on_syne"),
        ("jobs", "import importlib\nimportlib.import_module('ray.tune')", "jobs names ray"),
        ("views__show", "from tune_lr.engines.base import x", "views must not import engines"),
        ("experiment", "import tune_lr.views.plot", "experiment must not import views"),
        ("cli", "from tune_lr import tune", "from the module that owns it"),
        ("odd", "import os", "belongs to no layer"),
        (
            "objective",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tune_lr.space import SearchSpace",
            "objective must not import space",
        ),
    ],
)
def test_a_wrong_import_is_seen(tmp_path: Path, module: str, source: str, complaint: str) -> None:
    others = ("cli", "experiment", "jobs", "trials____init__", "trials__loop")
    package = house(tmp_path, **{**dict.fromkeys(others, ""), module: source})
    found = violations(package)
    assert len(found) == 1
    assert complaint in found[0]


def test_what_is_allowed_is_let_through(tmp_path: Path) -> None:
    package = house(
        tmp_path,
        space="from tune_lr.errors import BadInput\nimport numpy",
        experiment="import tune_lr.space\ndef plot():\n    from tune_lr.tables import reports_table",
        engines__on_ray__launch="import ray\nimport tune_lr.engines.base, tune_lr.experiment",
        views__plot="from tune_lr.experiment import Experiment",
    )
    assert violations(package) == []
    assert circle(package) == []


def test_a_circle_inside_one_layer_is_seen(tmp_path: Path) -> None:
    package = house(
        tmp_path,
        stopping__a="from tune_lr.stopping import b",
        stopping__b="def f():\n    from tune_lr.stopping.a import x",
    )
    assert {"tune_lr.stopping.a", "tune_lr.stopping.b"} <= set(circle(package))


def test_a_type_is_no_circle(tmp_path: Path) -> None:
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tune_lr.stopping.a import x"
    assert circle(house(tmp_path, stopping__a="import tune_lr.stopping.b", stopping__b=typed)) == []
