# SPDX-License-Identifier: Apache-2.0
"""Of several MACs that are asked for, both take the same one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.differential.cases import CONTAINER, Case, bridge, ipam
from tests.differential.pair import Pair, Side

Document = dict[str, Any]
MACS = {
    "runtimeConfig.mac": "02:00:00:00:00:01",
    "args.cni.mac": "02:00:00:00:00:02",
    "CNI_ARGS MAC": "02:00:00:00:00:03",
    "mac": "02:00:00:00:00:04",
}
UPLINK = ipam([{"subnet": "10.99.0.0/24", "rangeStart": "10.99.0.100"}])


@dataclass(frozen=True)
class Reader:
    """A plugin that reads MACs: its list, who reads it there, places by precedence."""

    name: str
    plugins: Callable[[Document], list[Document]]
    places: tuple[str, ...]

    def cases(self) -> Iterator[Case]:
        """Return a case for each place, with all that come behind it filled too."""
        ignored = [place for place in MACS if place not in self.places]
        for number, place in enumerate(self.places):
            yield self._case(place, [*self.places[number:], *ignored])

    def _case(self, wins: str, filled: list[str]) -> Case:
        keys: Document = {"capabilities": {"mac": True}}
        if "args.cni.mac" in filled:
            keys["args"] = {"cni": {"mac": MACS["args.cni.mac"]}}
        if "mac" in filled:
            keys["mac"] = MACS["mac"]
        runtime = {"mac": MACS["runtimeConfig.mac"]}
        return Case(
            f"{self.name}: {wins}",
            self.plugins(keys),
            args=f"IgnoreUnknown=1;MAC={MACS['CNI_ARGS MAC']}"
            if "CNI_ARGS MAC" in filled
            else "",
            capabilities=runtime if "runtimeConfig.mac" in filled else {},
        )


READERS = [
    Reader(
        "bridge",
        lambda keys: [bridge(**keys)],
        ("runtimeConfig.mac", "args.cni.mac", "CNI_ARGS MAC"),
    ),
    Reader(
        "macvlan",
        lambda keys: [{"type": "macvlan", "master": "eth0", "ipam": UPLINK, **keys}],
        ("runtimeConfig.mac", "CNI_ARGS MAC", "mac"),
    ),
    Reader(
        "tuning",
        # bridge reads CNI_ARGS too; tuning comes behind it.
        lambda keys: [bridge(), {"type": "tuning", **keys}],
        ("args.cni.mac", "runtimeConfig.mac", "CNI_ARGS MAC", "mac"),
    ),
]
CASES = [case for reader in READERS for case in reader.cases()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_place_wins(pair: Pair, case: Case) -> None:
    """The table in docs/protocol.md says which."""

    def mac(side: Side) -> str:
        words = ("ip", "-j", "link", "show", "dev", case.ifname)
        return str(side.sandbox.json(*words, netns=CONTAINER)[0]["address"])

    reference, ours = pair.attach(case).both(mac)
    assert ours == reference == MACS[case.name.partition(": ")[2]]
