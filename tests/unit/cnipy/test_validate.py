# SPDX-License-Identifier: Apache-2.0
"""`cnipy validate` tells what is wrong with files, where, and whether anything is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cnipy.positions import Positions
from launcher import keys
from launcher.loading import load
from plugins import REGISTER

if TYPE_CHECKING:
    from conftest import Desk  # pytest loads it by path

TOP = Path(__file__).parents[3]
KNOWN = keys.known()
HOST_LOCAL = {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}]]}
BRIDGE = {"type": "bridge", "isGateway": True, "ipam": HOST_LOCAL}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}


@pytest.fixture
def office(desk: Desk) -> Desk:
    """A desk whose suite has all plugins."""
    desk.suite = replace(
        desk.suite,
        names=tuple(REGISTER),
        unread=keys.unread,
        refused=keys.refused,
        plugin=load,
        keys=lambda: KNOWN,
    )
    return desk


def write(desk: Desk, file: str, *plugins: object, **more: object) -> None:
    """Write a list, a plugin a line, so that a position is easily told."""
    whole = {"cniVersion": "1.1.0", "name": Path(file).stem, **more}
    head = "".join(f"{json.dumps(k)}: {json.dumps(v)}, " for k, v in whole.items())
    lines = ",\n".join(json.dumps(plugin) for plugin in plugins)
    text = f'{{{head}"plugins": [\n{lines}\n]}}\n'
    (desk.conf_dir / file).write_text(text)


def said(desk: Desk, *words: str) -> list[str]:
    """Return what `validate` says of the directory, without its name."""
    status, stdout, stderr = desk.cnipy("validate", "--no-plugins", *words)
    assert stderr == ""
    *found, last = stdout.splitlines()
    assert status == int("error" in last or "warning" in last)
    return [line.removeprefix(f"{desk.conf_dir}/") for line in found]


def with_keys(**more: object) -> dict[str, object]:
    """Return a bridge with further keys."""
    return {**BRIDGE, **more}


MACVLAN = {"type": "macvlan", "ipam": HOST_LOCAL}
LIMIT = {"type": "bandwidth", "ingressRate": 8000, "ingressBurst": 80000}
GUARD = {"type": "firewall", "ingressPolicy": "isolated"}
NO_LIST = [[{"subnet": "10.9.0.1"}]]
IPS = {"ips": True, "mac": False, "portMappings": True}
SENT = {"mac": "02:00:00:00:00:01"}


@pytest.mark.parametrize(
    ("plugins", "token", "what"),
    [
        ([BRIDGE, PORTMAP], "", ""),
        ([{"type": "foreign", "x": 1}, PORTMAP], "", ""),
        (
            [with_keys(ipMsaq=True)],
            '"ipMsaq"',
            "warning: bridge: nothing reads 'ipMsaq', is 'ipMasq' meant?",
        ),
        (
            [with_keys(mtu="1500")],
            '"1500"',
            "error: bridge: mtu: Input should be a valid integer",
        ),
        (
            [with_keys(vlan=4095)],
            "4095",
            "error: bridge: parse vlan: invalid VLAN ID 4095 (must be between 0 and",
        ),
        (
            [with_keys(ipam={**HOST_LOCAL, "ranges": NO_LIST})],
            '"10.9.0.1"',
            "error: bridge: ipam.ranges.0.0.subnet: '10.9.0.1' is not an address in",
        ),
        (
            [{**MACVLAN, "mac": "01:00:5e:00:00:01"}],
            '"01:00:5e:00:00:01"',
            "error: macvlan: parse mac: 01:00:5e:00:00:01 is not a unicast address",
        ),
        (
            [with_keys(groupFwdMask=8)],
            '"groupFwdMask"',
            "note: bridge: the reference's bridge does not know 'groupFwdMask'",
        ),
        (
            [PORTMAP, BRIDGE],
            '"portmap"',
            "error: portmap: it changes what a plugin before it has made, and none",
        ),
        (
            [{"type": "loopback"}, {"type": "tuning"}],
            '"tuning"',
            "error: tuning: it changes what a plugin before it has made, and none",
        ),
        (
            [BRIDGE, {"type": "host-local"}],
            '"host-local"}\n]',
            'error: host-local: an IPAM plugin belongs under "ipam" of the plugin that',
        ),
        (
            [BRIDGE, {"type": "ptp", "ipam": HOST_LOCAL}],
            '"ptp"',
            "error: ptp: it makes the interface, which bridge before it has made",
        ),
        (
            [BRIDGE, {"type": "portmap"}],
            '"portmap"',
            'warning: portmap: no runtime sends ports without "capabilities": {"port',
        ),
        (
            [with_keys(capabilities=IPS)],
            '"portMappings"',
            "warning: bridge: it takes no capability 'portMappings'",
        ),
        (
            [with_keys(capabilities={"ipRange": True})],
            '"ipRange"',
            "warning: bridge: no runtime sends the capability 'ipRange', is 'ipRanges",
        ),
        (
            [with_keys(runtimeConfig=SENT)],
            '"mac"',
            'warning: bridge: runtimeConfig is the runtime\'s to write; "capabilities"',
        ),
        (
            [BRIDGE, {"type": "bandwidth"}],
            '"bandwidth"',
            "warning: bandwidth: nothing is limited without rates",
        ),
        (
            [MACVLAN, LIMIT],
            '"bandwidth"',
            "warning: bandwidth: macvlan has no end on the host to limit it at",
        ),
        (
            [MACVLAN, GUARD],
            '"firewall"',
            "warning: firewall: ingressPolicy finds no link of macvlan to guard",
        ),
        (
            [{"type": "ptp", "ipam": {"type": "static"}}],
            '{"type": "static"',
            'warning: ptp: static gives no address without "addresses" or',
        ),
        (
            [{"type": "ptp"}],
            '{"type": "ptp"',
            "error: ptp: parse ipam.type: missing; without addresses there is nothing",
        ),
    ],
)
def test_doubt_is_told_with_its_place(
    plugins: list[object], token: str, what: str, office: Desk
) -> None:
    """A line says file, line and column, how bad it is, whose it is, what is meant."""
    write(office, "10-n.conflist", *plugins)
    found = said(office)
    assert len(found) == bool(what)
    text = (office.conf_dir / "10-n.conflist").read_text()
    for told in found:
        file, line, column, rest = told.split(":", 3)
        assert file == "10-n.conflist"
        assert rest.strip().startswith(what)
        lines = text.splitlines(keepends=True)[int(line) - 1 :]
        assert "".join(lines)[int(column) - 1 :].startswith(token)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"name": "n",\n "plugins": [}', "2:14: error: decode FILE: Expecting value"),
        ('{"name": "n"}', "1:1: error: read FILE: no plugins in list"),
        ('{"name": "a b", "plugins": [{"type": "x"}]}', "1:1: error: "),
        (
            '{"name": "n", "plugins": [{"type": "x",\n "Mtu": 1, "mtu": 2}]}',
            "2:12: warning: 'mtu' is written twice",
        ),
        (
            '{"name": "n", "cniVersion": "1.x", "plugins": [{"type": "bridge"}]}',
            "1:29: error: bridge: it does not speak version 1.x, but 0.1.0 0.2.0",
        ),
        (
            '{"name": "n", "disableChek": true, "plugins": [{"type": "x"}]}',
            "1:15: warning: list n: nothing reads 'disableChek', is 'disableCheck'",
        ),
    ],
)
def test_file_that_is_none_is_told(text: str, line: str, office: Desk) -> None:
    """What is no list is told at the place where it ends to be one."""
    file = office.conf_dir / "10-n.conflist"
    file.write_text(text)
    (found,) = said(office)
    assert found.startswith(f"10-n.conflist:{line.replace('FILE', str(file))}")


def net(subnet: str, **more: object) -> dict[str, object]:
    """Return a bridge that routes a subnet."""
    return {**BRIDGE, "ipam": {"type": "host-local", "subnet": subnet}, **more}


def on(master: str, subnet: str, first: str, kind: str = "macvlan") -> dict[str, Any]:
    """Return a plugin with addresses on the network of a link of the host."""
    ipam = {"type": "host-local", "subnet": subnet, "rangeStart": first}
    return {"type": kind, "master": master, "ipam": ipam}


@pytest.mark.parametrize(
    ("one", "other", "cause"),
    [
        (net("10.1.0.0/16"), net("10.2.0.0/16", bridge="br1"), ""),
        (
            net("10.1.0.0/16"),
            net("10.1.2.0/24", bridge="br1"),
            "subnet 10.1.2.0/24 overlaps with 10.1.0.0/16 of",
        ),
        (net("10.1.0.0/16"), net("10.1.2.0/24", bridge="br1", isGateway=False), ""),
        (
            net("10.1.0.0/16"),
            {"type": "ptp", "ipam": net("10.1.2.0/24")["ipam"]},
            "subnet 10.1.2.0/24 overlaps with 10.1.0.0/16 of",
        ),
        (
            net("10.1.0.0/16"),
            net("10.2.0.0/16"),
            "without forceAddress the bridge takes no gateway 10.2.0.1 beside 10.1.0.1",
        ),
        (net("10.1.0.0/16"), net("10.2.0.0/16", forceAddress=True), ""),
        (net("10.1.0.0/16"), net("10.2.0.0/16", vlan=5), ""),
        (net("fd00:1::/64"), net("fd00:2::/64"), ""),
        (
            net("10.1.0.0/16"),
            net("10.1.0.0/16"),
            "addresses 10.1.0.1 to 10.1.255.254 are given on the same link by",
        ),
        (
            on("eth0", "10.1.0.0/16", "10.1.0.9"),
            on("eth0", "10.1.0.0/16", "10.1.1.0"),
            "addresses 10.1.1.0 to 10.1.255.254 are given on the same link by",
        ),
        (
            on("eth0", "10.1.0.0/16", "10.1.0.9"),
            on("eth1", "10.1.0.0/16", "10.1.1.0"),
            "",
        ),
        (
            {**on("eth0", "10.1.0.0/16", "10.1.0.9", "vlan"), "vlanId": 7},
            {**on("eth0", "10.2.0.0/16", "10.2.0.9", "vlan"), "vlanId": 7},
            "VLAN 7 of a link is there once, and is that of",
        ),
    ],
)
def test_what_networks_take_from_each_other_is_told(
    one: object, other: object, cause: str, office: Desk
) -> None:
    """The later file is told what it has of an earlier one's."""
    write(office, "10-a.conflist", one)
    write(office, "20-b.conflist", other)
    found = said(office)
    assert len(found) == bool(cause)
    for line in found:
        assert line.startswith("20-b.conflist:2:")
        assert cause in line
        assert line.endswith(f"network 10-a in {office.conf_dir}/10-a.conflist")


def test_name_of_another_file_is_told_in_the_order_of_runtimes(office: Desk) -> None:
    """Single plugins stand among lists, by the names of files; others are no matter."""
    write(office, "30-b.conflist", BRIDGE, name="n")
    single = {"name": "n", "cniVersion": "1.1.0", "type": "dummy"}
    (office.conf_dir / "20-a.conf").write_text(json.dumps(single))
    (office.conf_dir / "25-a.yaml").write_text("no matter")
    (office.conf_dir / "40.conflist").mkdir()
    (found,) = said(office)
    first = office.conf_dir / "20-a.conf"
    assert found.startswith(f"30-b.conflist:1:33: warning: n is the network of {first}")


def test_plugin_that_is_missing_or_of_another_version_is_told(office: Desk) -> None:
    """The plugins of the host are looked for, those of IPAM too, and asked."""
    plugin = {"type": "first", "ipam": {"type": "hostlocal"}}
    write(office, "10-n.conflist", plugin, {"type": "second"})
    office.env["SPEAKS_first"] = "1.0.0"
    office.env["SPEAKS_second"] = "1.1.0"
    status, stdout, _ = office.cnipy("validate")
    assert status == 1
    path = office.directory / "bin"
    file = office.conf_dir / "10-n.conflist"
    lacking = f"find plugin 'hostlocal': not in CNI_PATH [{path}]"
    assert stdout.splitlines() == [
        f"{file}:1:16: error: first: it does not speak version 1.1.0, but 1.0.0",
        f"{file}:2:36: error: {lacking}, is 'host-local' meant?",
        "1 file: 2 errors",
    ]
    assert {call["verb"] for call in office.calls} == {"VERSION"}


def test_files_are_looked_at_by_anybody_and_told_as_a_document(office: Desk) -> None:
    """A check of files needs no privilege, and a program finds all of it."""
    office.suite = replace(office.suite, uid=1000)
    write(office, "10-n.conflist", with_keys(ipMsaq=True))
    file = f"{office.conf_dir}/10-n.conflist"
    words = ("--no-plugins", "--json", file)
    status, stdout, stderr = office.cnipy("validate", *words)
    assert (status, stderr) == (1, "")
    assert json.loads(stdout) == {
        "files": [file],
        "found": [
            {
                "level": "warning",
                "file": file,
                "line": 2,
                "column": 112,
                "key": "plugins.ipMsaq",
                "text": "bridge: nothing reads 'ipMsaq', is 'ipMasq' meant?",
            }
        ],
    }


def test_file_that_is_not_there_is_a_failure(office: Desk) -> None:
    """Nothing is no valid file."""
    status, stdout, stderr = office.cnipy("validate", "/nowhere/10-n.conflist")
    assert (status, stdout) == (1, "")
    assert "read /nowhere/10-n.conflist: No such file or directory" in stderr


@pytest.mark.parametrize(
    "path",
    sorted((TOP / "conf-examples").glob("*.conflist")),
    ids=lambda path: path.stem,
)
def test_examples_have_nothing_wrong(path: Path, office: Desk) -> None:
    """What one starts from has no error and no warning."""
    status, stdout, _ = office.cnipy("validate", "--no-plugins", str(path))
    assert status == 0, stdout


def test_examples_can_lie_side_by_side_but_for_one_bridge(office: Desk) -> None:
    """Of all examples only the two of Kubernetes have something in common: cni0."""
    words = ("--no-plugins", str(TOP / "conf-examples"))
    _, stdout, _ = office.cnipy("validate", *words)
    (found,) = (line for line in stdout.splitlines() if ": warning: " in line)
    assert "11-crio-bridge.conflist" in found
    assert "takes no gateway 10.85.0.1 beside 10.22.0.1 of network containerd" in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet='abc"\\{}[]:, é', max_size=3), inner)
    ),
    max_leaves=12,
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[Any]:
    """Return the path of each member of a value, with the member."""
    if not isinstance(value, dict | list):
        return []
    members = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in members:
        found += [((*path, key), inner), *paths(inner, (*path, key))]
    return found


@given(JSON, st.sampled_from([None, 0, 3]), st.booleans())
@example(["\x85", None], None, False)  # which str.splitlines takes for an end of a line
def test_place_of_a_value_is_where_it_begins(
    value: object,
    indent: int | None,
    as_ascii: bool,  # noqa: FBT001 - drawn
) -> None:
    """From line and column on, the text is the value's, or its key's."""
    text = "\n " + json.dumps(value, indent=indent, ensure_ascii=as_ascii)
    places = Positions(text)
    lines = [f"{line}\n" for line in text.split("\n")]
    for path, inner in paths(value):
        line, column = places.line_and_column(path, of_key=False)
        rest = "".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert json.JSONDecoder().raw_decode(rest)[0] == inner
        if isinstance(path[-1], str):
            line, column = places.line_and_column(path, of_key=True)
            rest = "".join([lines[line - 1][column - 1 :], *lines[line:]])
            assert json.JSONDecoder().raw_decode(rest)[0] == path[-1]
