# SPDX-License-Identifier: Apache-2.0
"""What runtimes really sent is answered as they need it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.recordings.recording import RECORDINGS, Call, Replay, read
from tests.recordings.shapes import faults
from tests.runtimes.sandbox import Sandbox, kernel, need, remains
from tests.runtimes.sandbox.chain import Answer, Plugins
from tests.runtimes.sandbox.requirements import plugin_directory


@dataclass(frozen=True)
class Played:
    """A whole recording after its replay, in the sandbox where it was played."""

    sandbox: Sandbox
    answers: list[tuple[Call, Answer]]


def play(calls: list[Call]) -> Iterator[Played]:
    need("unshare", "nsenter", "ip", "nft")
    with Sandbox() as sandbox:
        # Where Podman's macvlan was recorded the uplink was called so.
        sandbox.run("ip", "link", "property", "add", "dev", "eth0", "altname", "up0")
        replay = Replay(Plugins(sandbox, plugin_directory()), calls)
        yield Played(sandbox, list(replay.play()))


@pytest.fixture(scope="module", params=RECORDINGS)
def chain(request: pytest.FixtureRequest) -> Iterator[Played]:
    """The calls of the runtime; bridge calls host-local itself."""
    yield from play([c for c in read(request.param) if not c.delegator])


@pytest.fixture(scope="module", params=RECORDINGS)
def ipam(request: pytest.FixtureRequest) -> Iterator[Played]:
    """The calls of the delegating plugins, sent to host-local directly."""
    yield from play([c for c in read(request.param) if c.plugin == "host-local"])


def expected_status(call: Call, sandbox: Sandbox) -> int:
    """Return the recorded status, three cases apart that the README explains."""
    if call.command == "DEL":
        return 0
    if call.holder:
        return 1
    if "vlan" in call.stdin and kernel.has_vlan_filtering(sandbox):
        return 0
    return call.status


def wrong_status(played: Played) -> list[str]:
    """Describe the calls that were not answered with the recorded status."""
    return [
        f"{call.plugin} {call.command} {call.attachment}: {answer}"
        for call, answer in played.answers
        if answer.status != expected_status(call, played.sandbox)
    ]


def wrong_results(played: Played) -> list[str]:
    """Describe the ADD results that do not have the shape of their version."""
    return [
        f"{call.plugin} {call.attachment}: {fault}"
        for call, answer in played.answers
        if call.command == "ADD" and answer.status == 0
        for fault in faults(
            answer.document,
            call.stdin["cniVersion"],
            call.netns,
            ipam=call.plugin == "host-local",
        )
    ]


def left(played: Played) -> list[str]:
    """Return what the sandbox still holds of the recorded containers."""
    words = {call.container for call, _ in played.answers if call.container}
    for _, answer in played.answers:
        words |= {ip["address"].split("/")[0] for ip in answer.document.get("ips", [])}
    return remains.everything(played.sandbox, *words)


def test_every_call_is_answered_as_recorded(chain: Played) -> None:
    """Each call of the runtime ends with the recorded exit status."""
    assert wrong_status(chain) == []


def test_every_result_has_the_shape_of_its_version(chain: Played) -> None:
    """Each ADD prints a result of the configuration's version."""
    assert wrong_results(chain) == []


def test_refused_port_names_its_holder(chain: Played) -> None:
    """A port that a living container holds is refused with the container's ID."""
    refused = [(call.holder, answer) for call, answer in chain.answers if call.holder]
    silent = [answer for holder, answer in refused if holder not in answer.stdout]
    assert silent == []


def test_delete_prints_nothing(chain: Played) -> None:
    """A successful DEL leaves stdout empty."""
    calls = [answer for call, answer in chain.answers if call.command == "DEL"]
    assert {answer.stdout for answer in calls if answer.status == 0} <= {""}


def test_version_names_the_asked_version(chain: Played) -> None:
    """VERSION echoes the version of its input and supports it."""
    for call, answer in chain.answers:
        if call.command == "VERSION":
            asked = call.stdin["cniVersion"]
            assert answer.document["cniVersion"] == asked
            assert asked in answer.document["supportedVersions"]


def test_nothing_is_left_after_the_last_call(chain: Played) -> None:
    """After the recorded DELs no link, lease, rule or record remains."""
    assert left(chain) == []


def test_host_local_alone_is_answered_as_recorded(ipam: Played) -> None:
    """host-local, executed by any delegator, answers each call as recorded."""
    assert wrong_status(ipam) == []


def test_host_local_results_name_no_interface(ipam: Played) -> None:
    """An IPAM result has addresses and routes only, in the version asked for."""
    assert wrong_results(ipam) == []


def test_host_local_keeps_no_lease_after_the_last_call(ipam: Played) -> None:
    """After the recorded DELs every address is free."""
    assert left(ipam) == []
