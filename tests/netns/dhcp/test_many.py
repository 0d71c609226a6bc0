# SPDX-License-Identifier: Apache-2.0
"""Many leases, and a keeper that is killed at any instant.

CNI_TESTS_WALK=whole has 200 leases and 50 kills.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import pytest
from choosing import WHOLE
from lab import PATIENCE
from netns.dhcp.helpers import Keeper, Lan, addresses, conf, recorded, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab import Cni

LEASES, KILLS = (200, 50) if WHOLE else (30, 6)
CONF = conf(timeout=120)
RANGE = "10.77.0.10,10.77.0.250,255.255.255.0,1h"


class Killer:
    """Kills a keeper again and again, at moments that nobody foresees.

    On a machine that has other things to do each lives for longer, to do as much.
    """

    def __init__(self, keeper: Keeper, times: int) -> None:
        self.done = 0
        self._keeper = keeper
        self._times = times
        self._chance = random.Random(times)
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._thread.join()

    def _work(self) -> None:
        took = 0.25
        for _ in range(self._times):
            time.sleep(self._chance.uniform(0, 2 * took))
            self._keeper.kill()
            began = time.monotonic()
            self._keeper.start()
            took = time.monotonic() - began
            self.done += 1


def requests(lan: Lan) -> Counter[str]:
    """Return how often each address was asked for, as the server has logged it.

    A question that is repeated, since its answer is late, has the same number.
    """
    asked = re.findall(r"(\d+) DHCPREQUEST\(eth0\) (\S+)", lan.log())
    return Counter(address for _, address in set(asked))


def settled(lan: Lan) -> Counter[str]:
    """Return the same when the last keeper has asked for all that it found."""
    before, after = Counter[str](), requests(lan)
    while before != after:
        time.sleep(2 * PATIENCE)
        before, after = after, requests(lan)
    return after


def held(results: dict[str, Any]) -> set[str]:
    """Return the addresses of results."""
    return {addresses(result)[0].partition("/")[0] for result in results.values()}


@pytest.mark.slow
def test_no_address_is_lost_and_no_lease_leaked(
    lan: Lan, keeper: Keeper, cni: Cni
) -> None:
    """ADD and DEL go on while the keeper dies; in the end all is as it was told."""
    lan.serve(f"--dhcp-range={RANGE}", "--dhcp-lease-max=1000")
    spaces = {f"c{number}": lan.container() for number in range(LEASES)}

    def call(verb: str, name: str, conf: Any = CONF) -> Any:
        return cni.ok("dhcp", verb, conf, netns=spaces[name], container_id=name)

    def each(verb: str, names: Iterable[str]) -> dict[str, Any]:
        work = {name: workers.submit(call, verb, name) for name in names}
        return {name: future.result() for name, future in work.items()}

    with ThreadPoolExecutor(8) as workers, Killer(keeper, KILLS) as killer:
        results = each("ADD", spaces)
        assert len(held(results)) == LEASES
        while killer.done < KILLS:
            some = random.Random(killer.done).sample(sorted(spaces), 10)
            each("DEL", some)
            results.update(each("ADD", some))
    assert len(held(results)) == LEASES
    until(lambda: set(lan.leased()) == held(results), 70)
    until(lambda: {each["state"] for each in recorded()} == {"held"})
    before = settled(lan)
    keeper.kill()
    keeper.start()
    until(lambda: sum((requests(lan) - before).values()) >= LEASES, 20)
    assert set((settled(lan) - before).values()) == {1}
    for name, result in results.items():
        call("CHECK", name, {**CONF, "prevResult": result})
    with ThreadPoolExecutor(8) as workers:
        each("DEL", spaces)
    until(lambda: not lan.leased())
    until(lambda: recorded() == [])
