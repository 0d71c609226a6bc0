# SPDX-License-Identifier: Apache-2.0
"""static beside the reference's: what is read of addresses, routes and CNI_ARGS."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lab import PATIENCE

from tests.runtimes.sandbox.requirements import plugin_directory, reference_directory

Document = dict[str, Any]
ONE = {"address": "10.0.0.1/24", "gateway": "10.0.0.254"}
BARE = {"address": "10.0.0.1/24"}
IPS = ["10.0.0.3/24", "fd00::3/64"]


@dataclass(frozen=True)
class Case:
    """Keys of `ipam`, keys beside it, CNI_ARGS."""

    name: str
    ipam: Document
    keys: Document = field(default_factory=dict)
    args: str = ""


def asked(ips: list[str]) -> tuple[Document, Document]:
    """Return the keys by which a runtime, or somebody by args, asks for addresses."""
    return {"runtimeConfig": {"ips": ips}}, {"args": {"cni": {"ips": ips}}}


RUNTIME, ARGS = asked(IPS)
GATEWAY = "IP=10.0.0.9/24;GATEWAY=10.0.0.253"
CASES = [
    Case("IP and GATEWAY", {"addresses": [{"address": "10.1.0.1/24"}]}, args=GATEWAY),
    Case("GATEWAY with ips", {"addresses": [ONE]}, RUNTIME, GATEWAY),
    Case("GATEWAY with args.cni.ips", {"addresses": [ONE]}, ARGS, GATEWAY),
    Case("gateway alone with ips", {"addresses": [{"gateway": "10.0.0.254"}]}, RUNTIME),
    Case("gateway alone with args", {"addresses": [{"gateway": "10.0.0.254"}]}, ARGS),
    Case("gateway alone", {"addresses": [{"gateway": "10.0.0.254"}]}),
    Case(
        "routes with host bits",
        {
            "addresses": [BARE],
            "routes": [{"dst": "3ffe:ffff:0:1ff::1/64"}, {"dst": "10.9.8.7/8"}],
        },
    ),
    Case(
        "IPv4-mapped",
        {
            "addresses": [
                {"address": "::ffff:10.0.0.1/120", "gateway": "::ffff:10.0.0.9"}
            ],
            "routes": [
                {"dst": "::ffff:10.9.0.0/112", "gw": "::ffff:10.0.0.9"},
                {"dst": "::ffff:0.0.0.0/96"},
                {"dst": "::ffff:10.0.0.1/90"},
            ],
        },
    ),
    *(
        Case(f"IgnoreUnknown={value}", {"addresses": [BARE]}, args=args)
        for value in ("1", "true", "TRUE", "tRue", "0", "False", "t", "maybe", "", "2")
        for args in (f"IgnoreUnknown={value}", f"X=y;IgnoreUnknown={value}")
    ),
]


def added(directory: Path, case: Case) -> tuple[int, Document]:
    """Return exit status and result of ADD, the latter empty for an error."""
    ipam = {"type": "static", **case.ipam}
    conf = {"cniVersion": "1.0.0", "name": "n", "type": "x", "ipam": ipam, **case.keys}
    env = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/none",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": str(directory),
        "CNI_ARGS": case.args,
    }
    ended = subprocess.run(
        [directory / "static"],
        input=json.dumps(conf).encode(),
        env=env,
        capture_output=True,
        check=False,
        timeout=60 * PATIENCE,
    )
    result = json.loads(ended.stdout) if ended.returncode == 0 else {}
    result.pop("dns", None)  # empty with either, and printed by the older one
    return ended.returncode, result


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.args}")
def test_static_reads_the_same(case: Case) -> None:
    """Both refuse, or both give the same addresses, gateways and routes."""
    reference = added(reference_directory(), case)
    assert added(plugin_directory(), case) == reference
