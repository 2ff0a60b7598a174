from __future__ import annotations

import pickle

import pytest

from tune_lr.errors import BadInput, JobFailed, MissingExtra, TuneLRError, UnknownName


@pytest.mark.parametrize(
    "error",
    [
        BadInput("--trials", 0, "a number of at least 1"),
        UnknownName("engine", "rya", ["ray", "inline"]),
        MissingExtra("engine 'ray'", "ray"),
        JobFailed("every trial failed"),
    ],
)
def test_errors_come_whole_from_another_process(error: TuneLRError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.__dict__) == (type(error), str(error), error.__dict__)


def test_a_message_names_field_value_and_what_would_be_right() -> None:
    assert (
        str(BadInput("--trials", 0, "a whole number")) == "--trials: 0 is not usable; expected a whole number"
    )


def test_near_matches_are_offered() -> None:
    assert "did you mean greedy_lr?" in str(UnknownName("space", "gredy_lr", ["greedy_lr", "cosine"]))


def test_hostile_values_do_not_flood_a_terminal() -> None:
    assert len(str(BadInput("lr", "x" * 10**6, "a number"))) < 300


def test_bad_use_and_failed_jobs_have_their_exit_codes() -> None:
    codes = BadInput("a", 1, "b").exit_code, MissingExtra("a", "b").exit_code, JobFailed("a").exit_code
    assert codes == (2, 2, 1)
