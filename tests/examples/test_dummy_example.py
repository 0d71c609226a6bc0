# SPDX-License-Identifier: Apache-2.0
"""89: an address that several containers have, for what others send to all of them."""

import pytest

from tests.examples.lab import Lab
from tests.runtimes import web

pytestmark = pytest.mark.needs_kernel("dummy")


def test_service_is_reached_at_either_container(lab: Lab) -> None:
    """89: both answer at the address, whichever of them the host sends to."""
    pods, service = (
        lab.network("30-dual-stack.conflist"),
        lab.network("89-dummy.conflist"),
    )
    with (
        lab.attached(pods, "c1") as first,
        lab.attached(pods, "c2") as second,
        lab.attached(service, "c1", "service0") as one,
        lab.attached(service, "c2", "service0") as two,
    ):
        pages = []
        for pod in (first, second):
            for to, via in zip(one.addresses, pod.addresses, strict=True):
                lab.sandbox.run("ip", "route", "replace", to, "via", via)
            pages += [lab.page("http://10.88.255.1/"), lab.page("http://[fd88::1]/")]
    assert one.addresses == two.addresses == ["10.88.255.1", "fd88::1"]
    assert pages == [web.PAGE] * 4
    assert lab.left(first, second, one, two) == []
