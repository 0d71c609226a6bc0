# SPDX-License-Identifier: Apache-2.0
"""static: every place that addresses may come from, and what is refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cni_common.frame import skel
from launcher.loading import Registered

REFERENCE = Path("/usr/lib/cni/static")
VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
ONE = {"address": "10.1.2.3/24", "gateway": "10.1.2.1"}
SIX = {"address": "fd00:1::3/64", "gateway": "fd00:1::1"}


@dataclass
class Outcome:
    """What a call printed, and its exit status."""

    status: int
    document: Any

    @property
    def ips(self) -> list[tuple[str, str | None]]:
        """Address and gateway of each of a result's addresses."""
        assert self.status == 0, self.document
        listed = self.document.get("ips", [])
        return [(ip["address"], ip.get("gateway")) for ip in listed]

    @property
    def failure(self) -> tuple[int, str]:
        """Code and message of an error."""
        assert self.status == 1, self.document
        return self.document["code"], self.document["msg"]


def conf(*addresses: Any, version: str = "1.1.0", **ipam: Any) -> dict[str, Any]:
    """Return a configuration with these addresses."""
    section: dict[str, Any] = {"type": "static", **ipam}
    if addresses:
        section["addresses"] = list(addresses)
    return {"cniVersion": version, "name": "net", "type": "bridge", "ipam": section}


def environment(verb: str, args: str = "") -> dict[str, str]:
    """Return the variables of a call."""
    return {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": "c1",
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": "/run/netns/absent",
        "CNI_PATH": "/usr/lib/cni",
        "CNI_ARGS": args,
    }


def call(verb: str, document: Any, args: str = "") -> Outcome:
    """Call our plugin in this process; `document` may be the bytes of one."""
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    stdout, stderr = io.BytesIO(), io.StringIO()
    env = environment(verb, args)
    plugin = Registered("static")
    status = skel.run("static", lambda: plugin, env, io.BytesIO(raw), stdout, stderr)
    text = stdout.getvalue()
    return Outcome(status, json.loads(text) if text else None)


def reference(verb: str, document: Any, args: str = "") -> Outcome:
    """Call the reference's binary."""
    if not REFERENCE.exists():
        if os.environ.get("CNI_TESTS_STRICT") == "1":
            pytest.fail(f"{REFERENCE} is missing: install containernetworking-plugins")
        pytest.skip(f"{REFERENCE} is not installed")
    ended = subprocess.run(
        [REFERENCE],
        input=json.dumps(document).encode(),
        env=environment(verb, args),
        capture_output=True,
        check=False,
    )
    return Outcome(ended.returncode, json.loads(ended.stdout or "null"))


def test_addresses_have_their_gateways_and_keep_their_order() -> None:
    """Several addresses of one family and of both reach the result as written."""
    other = {"address": "10.9.0.5/16"}
    found = call("ADD", conf(SIX, other, ONE)).ips
    assert found == [
        ("fd00:1::3/64", "fd00:1::1"),
        ("10.9.0.5/16", None),
        ("10.1.2.3/24", "10.1.2.1"),
    ]


def test_gateway_may_lie_outside_the_subnet_and_be_empty() -> None:
    """A /32 with a gateway on the link is a common set-up; empty text is none."""
    alone = {"address": "192.0.2.7/32", "gateway": "169.254.1.1"}
    found = call("ADD", conf(alone, {"address": "10.1.2.3/24", "gateway": ""})).ips
    assert found == [("192.0.2.7/32", "169.254.1.1"), ("10.1.2.3/24", None)]


def test_route_with_an_empty_gateway_has_none() -> None:
    """An empty gw is no gw, as for the reference."""
    routes = [{"dst": "0.0.0.0/0", "gw": ""}, {"dst": "10.7.0.0/16", "gw": None}]
    found = call("ADD", conf(ONE, routes=routes)).document["routes"]
    assert found == [{"dst": "0.0.0.0/0"}, {"dst": "10.7.0.0/16"}]


def test_routes_and_name_servers_are_copied_with_all_that_they_say() -> None:
    """A route keeps mtu, advmss, priority, table and scope, the dns all members."""
    route = {
        "dst": "0.0.0.0/0",
        "gw": "10.1.2.254",
        "mtu": 1400,
        "advmss": 1300,
        "priority": 7,
        "table": 100,
        "scope": 0,
    }
    dns = {
        "nameservers": ["192.0.2.53", "fd00::53"],
        "domain": "example.org",
        "search": ["a.example", "b.example"],
        "options": ["ndots:2"],
    }
    wanted = conf(ONE, routes=[route, {"dst": "fd00::/8"}], dns=dns)
    document = call("ADD", wanted).document
    assert document["routes"] == [route, {"dst": "fd00::/8"}]
    assert document["dns"] == dns


def test_route_fields_of_the_newest_version_are_kept_in_an_older_one() -> None:
    """The delegating plugin applies mtu and advmss whatever version is spoken."""
    route = {"dst": "0.0.0.0/0", "mtu": 1400, "advmss": 1300}
    document = call("ADD", conf(ONE, version="0.4.0", routes=[route])).document
    assert document["routes"] == [route]


@pytest.mark.parametrize("version", VERSIONS)
def test_result_has_the_shape_that_the_reference_gives(version: str) -> None:
    """In each version the document equals the reference's, empty dns apart.

    Debian's reference speaks no 1.1.0, whose shape for an IPAM plugin is 1.0.0's.
    """
    routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fd00:1::9"}]
    wanted = conf(ONE, SIX, version=version, routes=routes)
    known = min(version, "1.0.0")
    ours, theirs = call("ADD", wanted), reference("ADD", wanted | {"cniVersion": known})
    theirs.document["cniVersion"] = version
    for document in (ours.document, theirs.document):
        if not document.get("dns"):
            document.pop("dns", None)
    assert ours.document == theirs.document


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_old_versions_have_one_address_of_each_family(version: str) -> None:
    """Two of one family are refused in the reference's words."""
    wanted = conf(ONE, {"address": "10.1.3.3/24"}, version=version)
    cause = f"CNI version {version} does not support more than 1 address per family"
    assert reference("ADD", wanted).failure == (999, cause)
    assert call("ADD", wanted).failure == (7, f"parse ipam: {cause}")


def test_no_address_is_an_empty_result() -> None:
    """What the delegating plugin makes of it is its own affair, as in the reference."""
    assert call("ADD", conf()).document == {"cniVersion": "1.1.0"}


def test_args_add_to_the_configuration() -> None:
    """IP of CNI_ARGS is a list with commas, and spaces around them are accepted."""
    args = "IgnoreUnknown=1;K8S_POD_NAME=x;IP= 10.9.0.5/16 , fd00:1::5/64"
    found = call("ADD", conf(ONE), args).ips
    expected = [("10.1.2.3/24", "10.1.2.1"), ("10.9.0.5/16", None)]
    assert found == [*expected, ("fd00:1::5/64", None)]


def test_gateways_of_args_go_to_the_subnet_they_lie_in() -> None:
    """GATEWAY of CNI_ARGS is a list; one that fits nowhere is passed over."""
    args = "IP=10.9.0.5/16,fd00:1::5/64;GATEWAY=fd00:1::1,10.9.0.1,10.1.2.254,10.7.7.7"
    found = call("ADD", conf(ONE), args).ips
    expected = [("10.1.2.3/24", "10.1.2.254"), ("10.9.0.5/16", "10.9.0.1")]
    assert found == [*expected, ("fd00:1::5/64", "fd00:1::1")]


def test_gateway_that_fits_nowhere_is_in_the_log(tmp_path: Path) -> None:
    """The administrator learns why a container has no gateway."""
    log = tmp_path / "log"
    call("ADD", conf(ONE) | {"logFile": str(log)}, "GATEWAY=10.7.7.7")
    (event,) = json.loads(log.read_text())["events"]
    expected = {"level": "warning", "text": "GATEWAY 10.7.7.7 lies in no subnet"}
    assert event == expected


def test_lists_of_the_runtime_replace_those_before() -> None:
    """addresses and IP give way to args.cni.ips, and that to runtimeConfig.ips."""
    wanted = conf(ONE) | {"args": {"cni": {"ips": ["10.5.5.5/24", "fd00:5::5/64"]}}}
    found = call("ADD", wanted, "IP=10.9.0.5/16").ips
    assert found == [("10.5.5.5/24", None), ("fd00:5::5/64", None)]
    wanted["runtimeConfig"] = {"ips": ["10.6.6.6/24"]}
    assert call("ADD", wanted, "IP=10.9.0.5/16").ips == [("10.6.6.6/24", None)]


@pytest.mark.parametrize("key", ["runtimeConfig", "args"])
def test_gateway_of_args_is_not_for_a_list_of_the_runtime(key: str) -> None:
    """GATEWAY goes with IP: a list that replaces that has no gateway from there."""
    ips = {"ips": ["10.6.6.6/24"]}
    wanted = conf(ONE) | {key: ips if key == "runtimeConfig" else {"cni": ips}}
    assert call("ADD", wanted, "GATEWAY=10.6.6.1").ips == [("10.6.6.6/24", None)]


def test_gateway_without_address_is_taken_where_the_runtime_gives_addresses() -> None:
    """Such an entry is replaced with all others; without a list it is an error."""
    wanted = conf({"gateway": "10.6.6.1"})
    asked = wanted | {"runtimeConfig": {"ips": ["10.6.6.6/24"]}}
    assert call("ADD", asked).ips == [("10.6.6.6/24", None)]
    cause = f"{WHERE}.address: Field required"
    for verb in ("ADD", "STATUS"):
        assert call(verb, wanted).failure == (7, cause)
    assert call("STATUS", wanted | {"capabilities": {"ips": True}}) == Outcome(0, None)


def test_empty_lists_of_the_runtime_replace_nothing() -> None:
    """An empty list, null and an empty IP are as good as none."""
    wanted = conf(ONE) | {"args": {"cni": {"ips": []}}, "runtimeConfig": {"ips": None}}
    assert call("ADD", wanted, "IP=;GATEWAY=").ips == [("10.1.2.3/24", "10.1.2.1")]


def test_repeated_address_is_given_once() -> None:
    """The same address in two places is one; a gateway in either place is its own."""
    bare = {"address": "10.1.2.3/24"}
    assert call("ADD", conf(bare, ONE), "IP=10.1.2.3/24").ips == [
        ("10.1.2.3/24", "10.1.2.1")
    ]


def test_keys_match_without_regard_to_case_and_null_is_absence() -> None:
    """Configurations that Go's JSON decoder reads are read alike."""
    wanted = conf()
    wanted["IPAM"] = wanted.pop("ipam") | {
        "Addresses": [{"ADDRESS": "10.1.2.3/24", "Gateway": None}],
        "routes": None,
        "dns": None,
        "unknown": 1,
    }
    assert call("ADD", wanted).ips == [("10.1.2.3/24", None)]


BAD_ADDRESS = "the 'address' field is expected to be in CIDR notation, got: "
BAD_REQUEST = "an entry in the 'ips' field is NOT in CIDR notation, got: "
CONFIGURATION = "parse network configuration"
WHERE = f"{CONFIGURATION}: ipam.addresses.0"


@pytest.mark.parametrize(
    ("wanted", "msg"),
    [
        (conf({"address": "10.1.2.3"}), f"{WHERE}.address: {BAD_ADDRESS}'10.1.2.3'"),
        (conf({"address": "10.1.2.3/33"}), f"{WHERE}.address: {BAD_ADDRESS}"),
        (conf({"address": "10.1.2.03/24"}), f"{WHERE}.address: {BAD_ADDRESS}"),
        (conf({"address": ""}), f"{WHERE}.address: {BAD_ADDRESS}''"),
        (conf({"address": 7}), f"{WHERE}.address: {BAD_ADDRESS}7"),
        (conf({}), f"{WHERE}.address: Field required"),
        (
            conf({"address": "10.1.2.3/24", "gateway": "10.1.2"}),
            f"{WHERE}.gateway: '10.1.2' is not an IP address",
        ),
        (
            conf({"address": "10.1.2.3/24", "gateway": "fd00::1"}),
            f"{WHERE}: gateway fd00::1 is not the same protocol as address 10.1.2.3/24",
        ),
        (
            conf(ONE, {"address": "10.1.2.3/24", "gateway": "10.1.2.2"}),
            "parse ipam: 10.1.2.3/24 is given with the gateways 10.1.2.1 and 10.1.2.2",
        ),
        (
            conf(ONE, {"address": "10.1.2.3/16"}),
            "parse ipam: 10.1.2.3/24 is also given as 10.1.2.3/16",
        ),
        (
            conf() | {"runtimeConfig": {"ips": ["10.1.2.3"]}},
            f"{CONFIGURATION}: runtimeConfig.ips.0: {BAD_REQUEST}'10.1.2.3'",
        ),
        (
            conf() | {"args": {"cni": {"ips": ["10.1.2.3"]}}},
            f"{CONFIGURATION}: args.cni.ips.0: {BAD_REQUEST}'10.1.2.3'",
        ),
        (
            conf(ONE, routes=[{"dst": "here"}]),
            f"{CONFIGURATION}: ipam.routes.0.dst: 'here' is not an address",
        ),
        (
            {"cniVersion": "1.1.0", "name": "net", "type": "bridge"},
            "parse ipam: IPAM config missing 'ipam' key",
        ),
        (
            {"cniVersion": "1.1.0", "name": "net", "type": "bridge", "ipam": None},
            "parse ipam: IPAM config missing 'ipam' key",
        ),
    ],
)
def test_bad_configuration_is_refused_with_the_key(wanted: Any, msg: str) -> None:
    """ADD and STATUS answer with code 7 and the place; DEL and GC do not look."""
    for verb in ("ADD", "STATUS"):
        code, said = call(verb, wanted).failure
        assert (code, said[: len(msg)]) == (7, msg)
    for verb in ("DEL", "GC"):
        assert call(verb, wanted) == Outcome(0, None)


@pytest.mark.parametrize(
    ("args", "msg"),
    [
        (
            "IP=10.1.2.3",
            "IP: the 'ip' field is expected to be in CIDR notation, got: '10.1.2.3'",
        ),
        (
            "IP=10.1.2.3/24,,",
            "IP: the 'ip' field is expected to be in CIDR notation, got: ''",
        ),
        ("GATEWAY=10.1.2", "GATEWAY: invalid gateway address: 10.1.2"),
        ("GATEWAY=fd00::1%eth0", "GATEWAY: invalid gateway address: fd00::1%eth0"),
        ("FOO=1", "unknown keys ['FOO']"),
        ("IP", "invalid pair 'IP'"),
    ],
)
def test_malformed_cni_args_fail_add_and_never_del(args: str, msg: str) -> None:
    """ADD answers with code 4; DEL does not look."""
    assert call("ADD", conf(ONE), args).failure == (4, f"parse CNI_ARGS: {msg}")
    assert call("DEL", conf(ONE), args) == Outcome(0, None)


def checked(ips: list[dict[str, Any]], wanted: Any, version: str = "1.1.0") -> Outcome:
    """Return the outcome of CHECK with a prevResult of these addresses."""
    return call("CHECK", wanted | {"prevResult": {"cniVersion": version, "ips": ips}})


def test_check_compares_with_prev_result() -> None:
    """Addresses of others are accepted; a missing one and another gateway are not."""
    other = {"address": "10.77.0.1/24", "interface": 0}
    wanted = conf(ONE, {"address": "10.9.0.5/16"})
    whole = [other, ONE | {"interface": 2}, {"address": "10.9.0.5/16"}]
    assert checked(whole, wanted) == Outcome(0, None)
    expected = "check address 10.9.0.5/16: not in prevResult"
    assert checked(whole[:2], wanted).failure == (999, expected)
    changed = [ONE | {"gateway": "10.1.2.2"}, whole[2]]
    expected = "check address 10.1.2.3/24: its gateway in prevResult is"
    expected += " 10.1.2.2, not 10.1.2.1"
    assert checked(changed, wanted).failure == (999, expected)
    expected = "check address 10.1.2.3/24: not in prevResult"
    assert checked([ONE | {"address": "10.1.2.3/16"}], wanted).failure[1] == expected


def test_check_accepts_what_add_gave_in_every_version() -> None:
    """CHECK with ADD's own result, requests by the runtime included, succeeds."""
    for version in VERSIONS[4:]:
        wanted = conf(ONE, version=version)
        wanted["runtimeConfig"] = {"ips": ["10.6.6.6/24", "fd00:6::6/64"]}
        result = call("ADD", wanted, "GATEWAY=10.6.6.1").document
        wanted["prevResult"] = result
        assert call("CHECK", wanted, "GATEWAY=10.6.6.1") == Outcome(0, None)


def test_check_needs_prev_result() -> None:
    """CHECK without prevResult is code 7."""
    expected = (7, "required prevResult missing")
    assert call("CHECK", conf(ONE)).failure == expected


@pytest.mark.parametrize("verb", ["DEL", "GC", "STATUS"])
def test_verbs_without_a_task_succeed_and_say_nothing(verb: str) -> None:
    """Repeated, without prevResult and without a namespace."""
    for _ in range(2):
        assert call(verb, conf(ONE)) == Outcome(0, None)


def test_delete_reads_no_configuration() -> None:
    """DEL succeeds whatever became of the configuration since ADD."""
    broken = {"cniVersion": "1.1.0", "name": "net", "ipam": 7, "prevResult": "x"}
    assert call("DEL", broken) == Outcome(0, None)


def test_version_names_all_that_the_reference_supports() -> None:
    """VERSION lists 0.1.0 to 1.1.0."""
    found = call("VERSION", b"").document["supportedVersions"]
    assert found == list(VERSIONS)
