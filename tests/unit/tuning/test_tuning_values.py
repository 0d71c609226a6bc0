# SPDX-License-Identifier: Apache-2.0
"""Sets of values: what is wanted, what was, what has to be set."""

from __future__ import annotations

from plugins.tuning.values import Values

NOW = Values({"mtu": 1500, "promisc": False}, {"net/a": "1", "net/b": "2"})


def test_over_prefers_the_own_values() -> None:
    """Where both have a value the first one's counts."""
    over = Values({"mtu": 1400}, {"net/c": "3"}).over(NOW)
    assert over.link == {"mtu": 1400, "promisc": False}
    assert over.sysctl == {"net/a": "1", "net/b": "2", "net/c": "3"}


def test_of_keeps_the_names_of_the_other() -> None:
    """Values of other names are left out."""
    only = NOW.of(Values({"mtu": 1}, {"net/b": ""}))
    assert only == Values({"mtu": 1500}, {"net/b": "2"})


def test_unlike_is_what_differs() -> None:
    """Equal values, be they written otherwise, do not differ; unknown ones do."""
    wanted = Values({"mtu": 1500, "promisc": True}, {"net/a": "0x1", "net/c": "3"})
    assert wanted.unlike(NOW) == Values({"promisc": True}, {"net/c": "3"})


def test_all_parameters_are_set_if_one_is() -> None:
    """One parameter may change another, so that the equal ones are looked at again."""
    wanted = Values({"mtu": 1400}, {"net/a": "1", "net/b": "3"})
    assert wanted.to_set(NOW) == wanted
    assert Values({}, {"net/a": "1"}).to_set(NOW) == Values()


def test_nothing_is_false() -> None:
    """Values are true when there are any."""
    assert not Values()
    assert Values({"promisc": False})
    assert Values({}, {"net/a": "0"})
