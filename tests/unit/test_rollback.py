# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PT012 - that a block goes on, or ends, is what these tests are about
"""ADD undoes in reverse, DEL goes on past errors."""

from __future__ import annotations

from typing import NoReturn

import pytest

from cni_common.frame.rollback import Gather, Rollback
from cni_common.spec.errors import CNIError


def fail(error: Exception) -> NoReturn:
    """Raise `error`."""
    raise error


def test_success_undoes_nothing() -> None:
    """A block that ends well keeps what it did."""
    undone: list[int] = []
    with Rollback() as undo:
        undo(undone.append, 1)
    assert undone == []


@pytest.mark.parametrize(
    "error", [CNIError(7, "m"), ValueError("v"), KeyboardInterrupt()]
)
def test_failure_undoes_in_reverse(error: BaseException) -> None:
    """Whatever ends the block, what was done last is undone first."""
    undone: list[int] = []
    with pytest.raises(type(error)) as raised, Rollback() as undo:
        for step in (1, 2, 3):
            undo(undone.append, step)
        raise error
    assert raised.value is error
    assert undone == [3, 2, 1]


def test_failing_undo_does_not_stop_the_others() -> None:
    """The error of the block leaves it; those of the undoing are its details."""
    undone: list[int] = []
    with pytest.raises(CNIError) as raised, Rollback() as undo:
        undo(undone.append, 1)
        undo(fail, CNIError(999, "delete link x: busy"))
        undo(fail, ValueError("odd"))
        raise CNIError(7, "m", "d")
    assert undone == [1]
    assert (raised.value.code, raised.value.msg) == (7, "m")
    assert raised.value.details == "d; undo: odd; undo: delete link x: busy"


def test_cause_is_told_once() -> None:
    """What meets the undoing is not repeated when it is what ended the block."""
    refused = "enter network namespace '/x': operation not permitted"
    with pytest.raises(CNIError) as raised, Rollback() as undo:
        for _ in range(3):
            undo(fail, CNIError(8, refused))
        undo(fail, CNIError(999, "delete link x: busy"))
        undo(fail, CNIError(999, "delete link x: busy"))
        raise CNIError(8, refused)
    assert str(raised.value) == f"{refused}: undo: delete link x: busy"
    with pytest.raises(CNIError) as raised, Gather() as errors:
        for _ in range(3):
            errors.attempt(fail, CNIError(8, refused))
    assert str(raised.value) == refused


def test_failing_undo_is_noted_on_any_error() -> None:
    """An error without details carries it as a note, which the traceback shows."""
    with pytest.raises(ValueError, match="v") as raised, Rollback() as undo:
        undo(fail, CNIError(999, "delete link x: busy"))
        raise ValueError("v")
    assert raised.value.__notes__ == ["undo: delete link x: busy"]


def test_gathered_steps_are_all_tried() -> None:
    """A failing step gives None, the next one runs, and the first error is raised."""
    with pytest.raises(CNIError) as raised, Gather() as errors:
        assert errors.attempt(fail, CNIError(11, "a", "why")) is None
        assert errors.attempt(int, "7") == 7
        errors.attempt(fail, ValueError("b"))
    assert (raised.value.code, raised.value.msg) == (11, "a")
    assert raised.value.details == "why; b"


def test_gathered_success_is_silent() -> None:
    """Without an error nothing is raised."""
    with Gather() as errors:
        errors.attempt(int, "7")
    assert errors.raised == []


def test_single_unforeseen_error_keeps_its_type() -> None:
    """Alone, an error is raised as it is, so that its traceback is not lost."""
    error = ValueError("b")
    with pytest.raises(ValueError, match="b") as raised, Gather() as errors:
        errors.attempt(fail, error)
    assert raised.value is error


def test_unforeseen_error_first_of_several_is_code_999() -> None:
    """With others behind it, it becomes an error that can name them."""
    with pytest.raises(CNIError) as raised, Gather() as errors:
        errors.attempt(fail, ValueError("b"))
        errors.attempt(fail, CNIError(7, "m"))
    assert (raised.value.code, raised.value.msg, raised.value.details) == (
        999,
        "b",
        "m",
    )


def test_error_of_the_block_wins_over_gathered_ones() -> None:
    """What ended the block itself is what leaves it."""
    with pytest.raises(CNIError) as raised, Gather() as errors:
        errors.attempt(fail, ValueError("b"))
        raise CNIError(7, "m")
    assert raised.value.msg == "m"
