# SPDX-License-Identifier: Apache-2.0
"""95: a container whose interface is the other end of a process in it."""

import pytest

from tests.examples.lab import Lab
from tests.runtimes.sandbox.machine import wait_for
from tests.runtimes.sandbox.requirements import REPOSITORY

pytestmark = pytest.mark.needs_kernel("tap")
NAME = "95-tap.conflist"
MACHINE = str(REPOSITORY / "tests/netns/tap/answering.py")
MACHINE_MAC = "02:00:00:00:00:01"
PYTHON = ("/usr/bin/python3", "-I", "-S", MACHINE)


def test_user_of_the_tap_is_reached_through_it(lab: Lab) -> None:
    """95: user 1000 opens two queues, and what is behind answers the container."""
    sandbox = lab.sandbox
    network = lab.network(NAME)

    def heard() -> bool:
        """Tell whether what is behind the tap has answered the container."""
        sandbox.run("bash", "-c", "echo >/dev/udp/10.95.0.1/9", netns="c1")
        known = sandbox.json("ip", "-j", "-n", "c1", "neigh", "show", "10.95.0.1")
        return bool(known) and known[0].get("lladdr") == MACHINE_MAC

    with lab.attached(network, "c1", mac="02:00:00:00:00:95") as attached:
        assert attached.result["interfaces"][0]["mac"] == "02:00:00:00:00:95"
        for name in ("one", "two"):
            words = ("eth0", "10.95.0.1", "1000", "1000")
            sandbox.start(name, *PYTHON, *words, netns="c1")
        wait_for(heard, "machine")
        (link,) = sandbox.json("ip", "-j", "-d", "-n", "c1", "link", "show", "eth0")
        assert link["linkinfo"]["info_data"]["numqueues"] == 2
    assert lab.left(attached) == []
