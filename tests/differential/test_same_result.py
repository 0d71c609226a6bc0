# SPDX-License-Identifier: Apache-2.0
"""The same configuration gives the same result, kernel state and leases."""

from collections.abc import Iterator

import pytest

from tests.differential import state
from tests.differential.cases import CASES
from tests.differential.pair import Attached, machines


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def attached(request: pytest.FixtureRequest) -> Iterator[Attached]:
    """Both machines after the ADD of each case in turn."""
    with machines() as pair:
        yield pair.attach(request.param)


def test_result_is_the_same(attached: Attached) -> None:
    """Both print the same result, MACs and host veth names apart."""
    reference, ours = attached.both(lambda side: state.comparable(side.result))
    assert ours == reference


def test_container_looks_the_same(attached: Attached) -> None:
    """Link, addresses, routes and sysctls in the container are the same."""
    ifname = attached.case.ifname
    reference, ours = attached.both(lambda side: state.container(side.sandbox, ifname))
    assert ours == reference


def test_host_looks_the_same(attached: Attached) -> None:
    """Bridge, port flags, gateway addresses and sysctls on the host are the same."""
    reference, ours = attached.both(lambda side: state.host(side.sandbox))
    assert ours == reference


def test_leases_on_disk_are_the_same(attached: Attached) -> None:
    """host-local's directory has the same files with the same bytes and modes."""
    reference, ours = attached.both(lambda side: state.leases(side.sandbox))
    assert ours == reference
