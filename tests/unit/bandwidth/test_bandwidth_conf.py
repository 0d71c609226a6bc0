# SPDX-License-Identifier: Apache-2.0
"""bandwidth: which limits follow from what was written where."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from cni_common.attachment import part
from cni_common.limits import Limit, Limits
from cni_common.naming import Attachment
from cni_common.spec.errors import CNIError
from cni_common.spec.model import parse
from plugins.bandwidth.conf import BandwidthConf
from plugins.bandwidth.plugin import Facts, plan

IN = {"ingressRate": 8000, "ingressBurst": 16000}
OUT = {"egressRate": 800, "egressBurst": 1600}
BOTH = Limits(Limit(8000, 16000), Limit(800, 1600))
SUBNET = ipaddress.ip_network("10.0.0.0/8")


def limits(**keys: Any) -> Limits | None:
    """Return what a configuration with `keys` asks for."""
    document = {"cniVersion": "1.1.0", "name": "net", "type": "bandwidth", **keys}
    return parse(BandwidthConf, document, "network configuration").validated()


def asked(**keys: Any) -> dict[str, Any]:
    """Return what the capability looks like."""
    return {"runtimeConfig": {"bandwidth": keys}}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, None),
        ({"ingressRate": 0, "egressBurst": 0}, None),
        ({**IN, **OUT}, BOTH),
        (asked(**IN, **OUT), BOTH),
        (IN, Limits(ingress=Limit(8000, 16000))),
        (asked(**OUT), Limits(egress=Limit(800, 1600))),
        # All rates come from one place, and the configuration's win, be they 0.
        ({**IN, **asked(**OUT)}, Limits(ingress=Limit(8000, 16000))),
        ({"egressRate": 0, **asked(**IN)}, None),
        ({"ingressRate": None, **asked(**OUT)}, Limits(egress=Limit(800, 1600))),
        ({**IN, **OUT, "runtimeConfig": None}, BOTH),
        (
            {"unshapedSubnets": ["10.1.2.3/8"], **asked(**IN)},
            Limits(Limit(8000, 16000), None, (SUBNET,), only=False),
        ),
        (
            {**IN, **asked(shapedSubnets=["10.0.0.0/8", "10.0.0.0/8"])},
            Limits(Limit(8000, 16000), None, (SUBNET,), only=True),
        ),
        ({"shapedSubnets": ["10.0.0.0/8"]}, None),
    ],
)
def test_limits_follow_from_configuration_and_runtime(
    keys: dict[str, Any], expected: Limits | None
) -> None:
    """Rates come from the configuration, else from the runtime; so do subnets."""
    assert limits(**keys) == expected


def test_keys_of_containerd_are_read() -> None:
    """containerd writes the keys as Go does, and bursts of 2^32-1 bits."""
    keys = {
        "IngressRate": 1_000_000,
        "IngressBurst": 4_294_967_295,
        "EgressRate": 2_000_000,
        "EgressBurst": 4_294_967_295,
    }
    burst = (1 << 32) - 1
    assert limits(runtimeConfig={"bandwidth": keys}) == Limits(
        Limit(1_000_000, burst), Limit(2_000_000, burst)
    )


def test_limits_survive_their_record() -> None:
    """What is written to a record is read as the same limits."""
    networks = (SUBNET, ipaddress.ip_network("fd00::/8"))
    known = Facts("veth1", 7, 1500, "02:00:00:00:00:01", adds_ingress=False)
    for whole in (BOTH, Limits(None, Limit(8, 8), networks, only=True), Limits()):
        parts = plan(Attachment("net", "c1", "eth0"), whole, known)
        assert tuple(part.read(each.document()) for each in parts) == parts


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"ingressRate": 8000}, "use ingressRate 8000: ingressBurst is missing"),
        ({"egressBurst": 8000}, "use egressBurst 8000: egressRate is missing"),
        (
            asked(egressRate=8000),
            (
                "use runtimeConfig.bandwidth.egressRate 8000: "
                "runtimeConfig.bandwidth.egressBurst is missing"
            ),
        ),
        (
            {"ingressRate": 7, "ingressBurst": 8},
            "use ingressRate 7: less than 8 bits a second",
        ),
        (
            {"ingressRate": 8, "ingressBurst": 34_359_738_360},
            "use ingressBurst 34359738360: more than 34359738359 bits (4 GiB)",
        ),
        (
            {**IN, "shapedSubnets": ["::/0"], "unshapedSubnets": ["10.0.0.0/8"]},
            "use shapedSubnets: unshapedSubnets is given too",
        ),
    ],
)
def test_contradiction_is_refused(keys: dict[str, Any], message: str) -> None:
    """Half a limit, one that the kernel cannot count, and both subnets are code 7."""
    with pytest.raises(CNIError) as error:
        limits(**keys)
    assert (error.value.code, error.value.msg) == (7, message)


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"ingressRate": "8000"}, "ingressRate"),
        ({"ingressRate": -8}, "ingressRate"),
        ({"egressBurst": 1.5}, "egressBurst"),
        ({"egressBurst": True}, "egressBurst"),
        ({"ingressBurst": 1 << 64}, "ingressBurst"),
        ({"unshapedSubnets": ["10.0.0.0/8", "hello"]}, "unshapedSubnets.1"),
        ({"shapedSubnets": ["10.0.0.0"]}, "shapedSubnets.0"),
        ({"shapedSubnets": "10.0.0.0/8"}, "shapedSubnets"),
        (asked(ingressRate="1M"), "runtimeConfig.bandwidth.ingressRate"),
        ({"runtimeConfig": {"bandwidth": 7}}, "runtimeConfig.bandwidth"),
    ],
)
def test_value_that_is_none_is_refused(keys: dict[str, Any], path: str) -> None:
    """A value of another type is code 7 and names its key."""
    with pytest.raises(CNIError) as error:
        limits(**keys)
    assert error.value.code == 7
    assert error.value.msg.startswith(f"parse network configuration: {path}: ")


def test_bucket_holds_a_frame_and_queues_25_milliseconds() -> None:
    """A burst below one frame is raised to it; the queue is latency and burst."""
    roomy = Limit(8_000_000, 800_000).bucket(1500)
    assert (roomy.rate, roomy.burst, roomy.queue) == (1_000_000, 100_000, 125_000)
    tight = Limit(8_000_000, 8)
    assert (tight.bucket(1500).burst, tight.is_below_frame(1500)) == (1518, True)
    endless = Limit((1 << 64) - 1, 34_359_738_359).bucket(1500)
    assert endless.queue == (1 << 32) - 1
