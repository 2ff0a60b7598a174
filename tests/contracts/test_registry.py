"""Whatever the registry names is there: a part that is added is covered without another line here."""

from __future__ import annotations

import pytest

from tune_lr import registry
from tune_lr.errors import MissingExtra, UnknownName

PARTS = [(kind, name) for kind in registry.PARTS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), PARTS, ids=[f"{kind}-{name}" for kind, name in PARTS])
def test_every_registered_part_loads_and_says_what_it_is(kind: str, name: str) -> None:
    part = registry.load(kind, name)
    assert callable(part)
    assert (part.__doc__ or "").strip(), f"{kind} {name} has no docstring"


@pytest.mark.parametrize("kind", list(registry.PARTS))
def test_an_unknown_name_lists_the_known_ones(kind: str) -> None:
    known = registry.names(kind)
    with pytest.raises(UnknownName) as caught:
        registry.load(kind, known[0] + "x")
    message = str(caught.value)
    assert "did you mean" in message
    assert all(name in message for name in known)


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(module: str) -> None:
        raise ModuleNotFoundError(f"No module named 'ray' (asked by {module})", name="ray.tune")

    monkeypatch.setitem(registry.PARTS["engines"], "imaginary", "tune_lr.engines.imaginary:Engine")
    monkeypatch.setattr(registry.importlib, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'tune-lr\[ray\]'"):
        registry.load("engines", "imaginary")


def test_a_broken_part_is_not_blamed_on_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.PARTS["engines"], "imaginary", "tune_lr.engines.imaginary:Engine")
    with pytest.raises(ModuleNotFoundError) as caught:
        registry.load("engines", "imaginary")
    assert not isinstance(caught.value, MissingExtra)
