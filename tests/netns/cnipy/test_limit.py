# SPDX-License-Identifier: Apache-2.0
"""`cnipy limit`: living containers are slowed down, and are fast again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from lab import PATIENCE, run
from netns.bandwidth.helpers import MEBIBYTE, ifbs, qdiscs, seconds
from netns.cnipy.helpers import Desk, attachment_words
from netns.cnipy.living import attach, call, file_of, kept
from netns.portmap.helpers import left

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Cni, Host, Space

BRIDGE = {
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"},
}
BANDWIDTH = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
RATE, BURST = int(16_000 / PATIENCE) * 1000, 400_000  # bits
AT_LEAST = (MEBIBYTE * 8 - BURST) / RATE - 0.05


@pytest.fixture
def desk(host: Host, cni: Cni, tmp_path: Path) -> Desk:
    """An operator with a network that runtimes may limit, and one with own rates."""
    desk = Desk(host, cni, tmp_path)
    desk.network("n", BRIDGE, BANDWIDTH)
    own = {"ingressRate": 8_000_000, "ingressBurst": 800_000}
    desk.network("own", BRIDGE | {"bridge": "br1"}, BANDWIDTH | own)
    return desk


@pytest.fixture
def app(desk: Desk, host: Host) -> Space:
    """A container on n that nothing limits."""
    space = host.space()
    attach(desk, "n", space)
    return space


def received(space: Space) -> float:
    """Return how long the container takes to receive a mebibyte from the host."""
    return seconds(None, space, "10.9.0.2")


def sent(space: Space) -> float:
    """Return how long the container takes to send a mebibyte to the host."""
    return seconds(space, None, "10.9.0.1")


def veth_of(file: Path) -> str:
    """Return the host's end, by what the runtime was told."""
    return str(kept(file)["result"]["interfaces"][1]["name"])


def rate_of(link: str) -> int:
    """Return at which rate a link sends, in bytes a second."""
    (found,) = json.loads(run("tc", "-j", "qdisc", "show", "dev", link, "root"))
    return int(found["options"]["rate"])


def test_stopwatch(desk: Desk, app: Space) -> None:
    """Fast before, slow in one way, then in both, and fast again."""
    assert max(received(app), sent(app)) < AT_LEAST
    words = ("--ingress", str(RATE), "--ingress-burst", "400k")
    printed = desk.ok("limit", app.name, *words)
    veth = veth_of(file_of(app))
    assert printed == (
        f"{attachment_words('n', app)}:\n"
        f"  the container receives at most {RATE / 10**6:.6g} Mbit/s by {veth}\n"
    )
    assert AT_LEAST < received(app) < 10 * AT_LEAST
    assert sent(app) < AT_LEAST
    words = ("--egress", f"{RATE // 1000}kbit", "--egress-burst", "0.4Mbit")
    told = json.loads(desk.ok("limit", app.name, *words, "--json"))
    limit = {"rate": RATE // 1000 * 1000, "burst": BURST}
    assert (told["ingress"]["burst"], told["egress"]) == (BURST, limit)
    assert AT_LEAST < received(app) < 10 * AT_LEAST
    assert AT_LEAST < sent(app) < 10 * AT_LEAST
    desk.ok("limit", app.name, "--ingress", "0")
    assert received(app) < AT_LEAST < sent(app)
    assert "nothing is limited" in desk.ok("limit", app.name, "--none")
    assert max(received(app), sent(app)) < AT_LEAST
    assert (ifbs(), list(qdiscs(veth))) == ([], ["noqueue"])


def test_runtime_knows(desk: Desk, app: Space) -> None:
    """Its cache has rates and the ifb, CHECK passes and fails, DEL leaves nothing."""
    file = file_of(app)
    before = kept(file)
    desk.ok("limit", app.name, "--ingress", "10M", "--egress", "1G")
    after = kept(file)
    assert after["capabilityArgs"]["bandwidth"] == {
        "ingressRate": 10_000_000,
        "ingressBurst": 1_000_000,
        "egressRate": 1_000_000_000,
        "egressBurst": 100_000_000,
    }
    assert [each["name"] for each in after["result"]["interfaces"][3:]] == ifbs()
    call(desk, file, "CHECK")
    run("tc", "qdisc", "delete", "dev", veth_of(file), "root")
    with pytest.raises(AssertionError, match="tbf"):
        call(desk, file, "CHECK")
    assert "tbf" in desk.ok("repair")
    call(desk, file, "CHECK")
    desk.ok("limit", app.name, "--egress", "2G")
    assert len(kept(file)["result"]["interfaces"]) == 4
    call(desk, file, "CHECK")
    desk.ok("limit", app.name, "--none")
    assert kept(file) == before
    desk.ok("limit", app.name, "--egress", "512Ki")
    assert rate_of(ifbs()[0]) == 524_288 // 8
    call(desk, file, "DEL")
    assert ifbs() == []
    assert [path for path in left() if "/host-local/" not in path] == []


def test_the_same_is_harmless(desk: Desk, app: Space) -> None:
    """Neither the ifb nor a file is another."""
    words = ("limit", app.name, "--egress", "10M", "--ingress", "10M")
    desk.ok(*words)
    before = run("ip", "-o", "link"), kept(file_of(app))
    desk.ok(*words)
    assert (run("ip", "-o", "link"), kept(file_of(app))) == before


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((), "no limit is named: --ingress RATE"),
        (("--none", "--ingress", "1M"), "--none leaves no limit to name"),
        (("--ingress", "fast"), "read --ingress 'fast': it is neither rate nor size"),
        (("--ingress", "10m"), "read --ingress '10m'"),
        (("--ingress", "-1"), "read --ingress '-1'"),
        (("--egress", "4"), "egressRate 4: less than 8 bits a second"),
        (("--egress-burst", "4M"), "egressRate is missing"),
        (("--egress", "1M", "--egress-burst", "100G"), "more than"),
    ],
)
def test_bad_limits(desk: Desk, app: Space, words: tuple[str, ...], cause: str) -> None:
    """One line says what is wrong; nothing is limited."""
    said = desk.refused("limit", app.name, *words)
    assert cause in said
    assert (ifbs(), kept(file_of(app))["capabilityArgs"].get("bandwidth")) == ([], None)


def test_rates_of_the_list_win(desk: Desk, host: Host) -> None:
    """What would have no effect is refused."""
    space = host.space()
    attach(desk, "own", space)
    said = desk.refused("limit", space.name, "--ingress", "1M")
    assert "the list of own has ingressRate, which wins" in said


def test_change_is_a_call_as_any_other(desk: Desk, host: Host, tmp_path: Path) -> None:
    """What changes a living container is in the plugin's log, and is counted."""
    log = tmp_path / "calls.log"
    desk.network("logged", BRIDGE, BANDWIDTH | {"logFile": str(log)})
    space = host.space()
    attach(desk, "logged", space)
    before, counted = log.read_text().count("\n"), adds(desk)
    desk.ok("limit", space.name, "--ingress", "10M")
    line = json.loads(log.read_text().splitlines()[before])
    assert (line["plugin"], line["command"]) == ("bandwidth", "ADD")
    assert (line["network"], line["outcome"]) == ("logged", "ok")
    assert adds(desk) == counted + 1


def adds(desk: Desk) -> int:
    """Return how often bandwidth was called for ADD, as is told to a collector."""
    (line,) = (
        line
        for line in desk.ok("metrics").splitlines()
        if line.startswith('cnipy_calls_total{plugin="bandwidth",verb="ADD"}')
    )
    return int(line.split()[-1])
