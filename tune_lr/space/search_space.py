"""SearchSpace: which configurations there are, as a pure value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tune_lr.errors import BadInput, UnknownName
from tune_lr.space.bounds import RATIOS, check_bounds, to_absolute, to_ratio
from tune_lr.space.choices import CategoricalKnob, ConstantKnob
from tune_lr.space.kinds import knob_from_dict
from tune_lr.space.knobs import Knob
from tune_lr.space.ranges import IntKnob
from tune_lr.space.values import Value, placed, plain, same, within

Values = dict[str, Any]

_NAME = re.compile(r"[^\W\d][\w.-]{0,99}")
_FIELDS = ("name", "knobs", "description")


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """Named knobs, in order.

    *Values* are what a point of the space is made of: a dict from knob to plain value (float, int, bool, str)
    with every active knob, constants included, and no inactive one. A *configuration* is what a trial gets:
    the same with absolute ``min_lr`` and ``max_lr`` in place of ``min_lr_ratio`` and ``max_lr_ratio``.

    Equality is about name and knobs, their order included; descriptions are for people.

    Args:
        name: letters, digits, ``_ . -``, beginning with a letter or ``_``.
        knobs: name -> knob. A knob's ``when`` names knobs that stand before it.
        description: for people.

    Raises:
        BadInput: a name, a condition, or the bounds of the learning rate cannot be used.
    """

    name: str
    knobs: Mapping[str, Knob]
    description: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise BadInput("name of the space", self.name, "a name of letters, digits, '_', '.' and '-'")
        if not isinstance(self.description, str):
            raise BadInput(f"space {self.name!r}, description", self.description, "text")
        if not isinstance(self.knobs, Mapping) or not self.knobs:
            raise BadInput(f"space {self.name!r}, knobs", self.knobs, "a mapping with at least one knob")
        knobs: dict[str, Knob] = {}
        with within(f"space {self.name!r}"):
            for name, knob in self.knobs.items():
                knobs[name] = self._settled(name, knob, knobs)
            check_bounds(knobs)
        object.__setattr__(self, "knobs", knobs)

    def _settled(self, name: object, knob: object, before: Mapping[str, Knob]) -> Knob:
        """The knob with the values of its conditions in its parents' own types."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadInput("name of a knob", name, "a name of letters, digits, '_', '.' and '-'")
        if not isinstance(knob, Knob):
            raise BadInput(f"knob {name!r}", knob, "a knob")
        when: dict[str, tuple[Value, ...]] = {}
        with within(f"knob {name!r}, when"):
            for parent, allowed in knob.when.items():
                if parent not in self.knobs:
                    raise UnknownName("knob", parent, set(self.knobs) - {name})
                if parent not in before:
                    raise BadInput("knob", parent, "a knob that stands before this one")
                if not isinstance(before[parent], (CategoricalKnob, ConstantKnob, IntKnob)):
                    raise BadInput("knob", parent, "a knob of type categorical, int or constant")
                with within(parent):
                    when[parent] = tuple(before[parent].check(value) for value in allowed)
        return replace(knob, when=when) if when else knob

    @classmethod
    def from_dict(cls, content: object) -> SearchSpace:
        """The space that the content of a space file describes (``name``, ``knobs``, ``description``).

        Raises:
            BadInput: names space, knob, field and value, and what would be right.
        """
        if not isinstance(content, Mapping):
            raise BadInput("space", content, "a mapping with name and knobs")
        for key in content:
            if key not in _FIELDS:
                raise UnknownName("field of a space", str(key), _FIELDS)
        name, knobs = content.get("name"), content.get("knobs")
        if isinstance(knobs, Mapping):
            with within(f"space {name!r}"):
                knobs = {key: _named(key, one) for key, one in knobs.items()}
        return cls(name, knobs, content.get("description") or "")  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe content, of which :meth:`from_dict` makes an equal space."""
        said = {"description": self.description} if self.description else {}
        return {"name": self.name, **said, "knobs": {name: one.to_dict() for name, one in self.knobs.items()}}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SearchSpace):
            return NotImplemented
        return self.name == other.name and list(self.knobs.items()) == list(other.knobs.items())

    def __hash__(self) -> int:
        return hash((self.name, tuple(self.knobs.items())))

    @property
    def names(self) -> tuple[str, ...]:
        """The knobs that have a dimension (all but constants), in the order of the coordinates."""
        return tuple(name for name, knob in self.knobs.items() if not isinstance(knob, ConstantKnob))

    @property
    def dimension(self) -> int:
        """How many coordinates the unit cube has."""
        return len(self.names)

    def active(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The knobs, constants included, that take part under ``values``, which may be incomplete."""
        found: dict[str, object] = {}
        for name, knob in self.knobs.items():
            if self._is_active(knob, found):
                found[name] = knob.value if isinstance(knob, ConstantKnob) else plain(values.get(name))
        return tuple(found)

    def _is_active(self, knob: Knob, before: Mapping[str, object]) -> bool:
        return all(
            any(same(before.get(parent), value) for value in allowed) for parent, allowed in knob.when.items()
        )

    def validate(self, values: Mapping[str, Any]) -> None:
        """Say whether ``values`` is a point of the space.

        What an inactive knob is set to has no meaning and is not looked at, and constants may be left out;
        :meth:`normalize` gives the one form that all spellings of a point share.

        Raises:
            BadInput: an unknown knob (near matches are listed), an active knob that is missing, a value out
                of range or of another kind; space, knob, value and what would be right are named.
        """
        self.normalize(values)

    def normalize(self, values: Mapping[str, Any]) -> Values:
        """The point that ``values`` spells: inactive knobs dropped, constants filled in, plain types.

        Raises:
            BadInput: as :meth:`validate`.
        """
        if not isinstance(values, Mapping):
            raise BadInput(f"values for space {self.name!r}", values, "a mapping from knob to value")
        for name in values:
            if name not in self.knobs:
                raise UnknownName(f"knob of space {self.name!r}", str(name), self.knobs)
        found: Values = {}
        for name, knob in self.knobs.items():
            if not self._is_active(knob, found):
                continue
            if name not in values and isinstance(knob, ConstantKnob):
                found[name] = knob.value
                continue
            try:
                if name not in values:
                    raise BadInput("value", None, f"a value such as {knob.start()!r}: the knob is active")
                found[name] = knob.check(values[name])
            except BadInput as error:
                raise placed(error, f"space {self.name!r}, knob {name!r}") from None
        return found

    def flat(self, values: Mapping[str, Any]) -> Values:
        """:meth:`normalize`, and inactive knobs at their start, as the flat spaces of the engines want it."""
        found = self.normalize(values)
        return {name: found.get(name, knob.start()) for name, knob in self.knobs.items()}

    def default(self) -> Values:
        """The values to begin with: every knob's default, or the middle of its range."""
        return self.normalize({name: knob.start() for name, knob in self.knobs.items()})

    def sample(self, n: int, seed: int | np.random.Generator) -> list[Values]:
        """``n`` points, evenly over the unit cube.

        Fewer points of one seed are the first of more: ``sample(5, s)[:3] == sample(3, s)``. A generator is
        advanced by ``n * dimension`` draws.
        """
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 0:
            raise BadInput("number of samples", n, "a whole number, 0 or more")
        whole = isinstance(seed, (int, np.integer)) and seed >= 0
        if not whole and not isinstance(seed, np.random.Generator):
            raise BadInput("seed", seed, "a whole number, 0 or more, or a numpy Generator")
        cube = np.random.default_rng(seed).random((int(n), self.dimension))
        return [self.decode(row) for row in cube]

    def points(self, most: int) -> list[Values] | None:
        """Every point, in order; None where there are more than ``most``, or a continuum of them."""
        found: list[Values] = [{}]
        for name, knob in self.knobs.items():
            takes_part = [self._is_active(knob, point) for point in found]
            every = knob.every()
            if any(takes_part) and (every is None or len(found) + sum(takes_part) * (len(every) - 1) > most):
                return None
            grown: list[Values] = []
            for point, active in zip(found, takes_part, strict=True):
                grown += [{**point, name: value} for value in every] if active and every else [point]
            found = grown
        return found

    def encode(self, values: Mapping[str, Any]) -> NDArray[np.float64]:
        """A point as coordinates in the unit cube, shape ``(dimension,)``; NaN for inactive knobs.

        Raises:
            BadInput: ``values`` is no point of the space.
        """
        found = self.normalize(values)
        return np.array(
            [self.knobs[name].to_unit(found[name]) if name in found else np.nan for name in self.names],
            dtype=np.float64,
        )

    def decode(self, vector: ArrayLike) -> Values:
        """The point at coordinates of shape ``(dimension,)``, clipped to the unit cube.

        The inverse of :meth:`encode`: exact but for the rounding of floats. The coordinate of an inactive
        knob may be anything.

        Raises:
            BadInput: another shape, or NaN for an active knob.
        """
        point = np.asarray(vector, dtype=np.float64)
        if point.shape != (self.dimension,):
            raise BadInput(f"vector for space {self.name!r}", vector, f"{self.dimension} numbers")
        at = dict(zip(self.names, point.tolist(), strict=True))
        found: Values = {}
        for name, knob in self.knobs.items():
            if not self._is_active(knob, found):
                continue
            u = at.get(name, 0.0)
            if math.isnan(u):
                raise BadInput(f"coordinate of knob {name!r}", u, "a number: the knob is active")
            found[name] = knob.from_unit(u)
        return found

    def config(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What a trial gets: active knobs and constants, and absolute bounds in place of ratios.

        ``min_lr <= lr <= max_lr`` holds exactly. Raises BadInput where ``values`` is no point of the space.
        """
        return to_absolute(self.normalize(values))

    def values(self, config: Mapping[str, Any]) -> Values:
        """The inverse of :meth:`config`, also for what old logs and tables hold.

        Keys that are no knob are ignored, absolute bounds become ratios, whole floats become ints where the
        knob is one, missing values (None, NaN) and inactive knobs are dropped. Nothing is invented and
        nothing refused: what comes out may lie outside of the space, which :meth:`validate` tells.
        """
        known = {name: plain(value) for name, value in config.items()}
        found: Values = {}
        for name, knob in self.knobs.items():
            value = known.get(name)
            if value is None and name in RATIOS:
                value = to_ratio(name, known)
            if value is not None and not (isinstance(value, float) and math.isnan(value)):
                found[name] = knob.read(value)
        return {name: found[name] for name in self.active(found) if name in found}

    def key(self, values: Mapping[str, Any]) -> str:
        """What two spellings of one point have in common, to find duplicates; floats to ten digits.

        Raises:
            BadInput: ``values`` is no point of the space.
        """
        found = self.normalize(values)
        return json.dumps({k: float(f"{v:.9e}") if isinstance(v, float) else v for k, v in found.items()})


def _named(name: object, content: object) -> Knob:
    if isinstance(content, Knob):
        return content
    with within(f"knob {name!r}"):
        return knob_from_dict(content)
