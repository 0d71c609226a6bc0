# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas say of every key what docs and plugins say, and take what these take."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from cni_common.spec.errors import CNIError
from cnipy import schema
from launcher import documented, keys
from launcher.key_tables import WrittenError, page
from launcher.loading import load
from plugins import REGISTER

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parents[3]
EXAMPLES = sorted((TOP / "conf-examples").glob("*.conflist"))
RECORDINGS = sorted((TOP / "tests/recordings").glob("*.json"))
RELEASED = sorted((TOP / "tests/releases").glob("*/*.json"))
ROW = re.compile(r"^\| (`[^|]*) \| ([^|]*) \| ([^|]*) \| (.*) \|$", re.MULTILINE)
# Of objects that others fill, too; a stray key there is no fault.
OPEN = {"args", "runtimeConfig", "prevResult", "capabilities", "sysctl", "aliases"}


KNOWN = keys.known()
# Without these a plugin refuses everything.
NEEDED: dict[str, dict[str, Any]] = {
    "vrf": {"vrfname": "red"},
    "ptp": {"ipam": {"type": "foreign"}},
    "host-device": {"device": "eth1"},
}


def path_id(path: Path) -> str:
    """Return a file's name as a test's."""
    return path.stem


@cache
def validator(what: str | None) -> Draft202012Validator:
    """Return the judge of a plugin, of `conflist`, or of any file."""
    document = schema.document(KNOWN, what)
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def faults(what: str | None, document: object) -> list[str]:
    """Return what a schema finds wrong."""
    return [
        f"{error.json_path}: {error.message}"
        for error in validator(what).iter_errors(document)
    ]


def rows(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, default and meaning of the first table of keys on a plugin's page."""
    text = (TOP / f"docs/plugins/{name}.md").read_text()
    table = text.partition("| key | type | default |")[2].partition("\n\n")[0]
    for named, _, default, meaning in ROW.findall(table):
        for key in re.findall(r"`([^`]*)`", named.removesuffix("in `CNI_ARGS`")):
            place = "CNI_ARGS." if named.endswith("in `CNI_ARGS`") else ""
            yield place + key, default, meaning


def described(name: str, key: str) -> dict[str, Any]:
    """Return what the schema of a plugin says of a key."""
    document = schema.document(KNOWN, name)
    node = document
    place, _, rest = key.partition(".")
    if place == "CNI_ARGS":
        return dict(document["$defs"]["CNI_ARGS"]["properties"][rest])
    if load(name).is_ipam and place in {"args", "runtimeConfig"}:
        node = schema.document(KNOWN, "bridge")
    for part in key.split("."):
        node = node["properties"][part]
    return node


@pytest.mark.parametrize("name", sorted(set(REGISTER) - {"loopback"}))
def test_each_key_of_a_page_has_type_default_and_description(name: str) -> None:
    """What a page says of a key an editor shows, and it knows which values it has."""
    found = list(rows(name))
    assert found
    for key, default, meaning in found:
        node = described(name, key)
        assert {"type", "enum", "anyOf", "$ref"} & node.keys(), key
        first = re.split(r"[\[(,;:]", meaning)[0].strip()
        assert first in node["description"], key
        listed = any(f"`{value}`" in default for value in ("cni0", '""', "trusted"))
        if listed or default in {"false", "true", "0", "30"}:
            assert str(node["default"]).lower() in default.replace('""', ""), key


@pytest.mark.parametrize("what", [None, "conflist", *REGISTER])
def test_each_property_says_what_it_is(what: str | None) -> None:
    """There is no key without a description, however deep."""
    pending = [("", schema.document(KNOWN, what))]
    while pending:
        path, node = pending.pop()
        for key, inner in node.get("properties", {}).items():
            chooses = path in {"/$defs/ipam", "/$defs/plugin"}
            assert chooses or len(inner["description"]) > 8, f"{path}.{key}"
            pending.append((f"{path}.{key}", inner))
        pending += [(f"{path}[]", node["items"])] if "items" in node else []
        pending += [(f"/$defs/{k}", v) for k, v in node.get("$defs", {}).items()]


@pytest.mark.parametrize("path", EXAMPLES, ids=path_id)
def test_examples_are_valid(path: Path) -> None:
    """What one starts from has no fault, as a list and as any file."""
    document = json.loads(path.read_text())
    assert faults("conflist", document) == []
    assert faults(None, document) == []


@pytest.mark.parametrize("path", RECORDINGS, ids=path_id)
def test_what_runtimes_send_is_valid(path: Path) -> None:
    """Each recorded configuration is one of its plugin, in a list and alone."""
    sent = [call.get("stdin") for call in json.loads(path.read_text())["calls"]]
    judged = 0
    for document in filter(None, sent):
        if "prevResult" in document:
            document["prevResult"] = {}  # `true` stands for one, in a recording
        kind = document.get("type")
        if kind not in REGISTER or load(kind).is_ipam:
            continue  # a VERSION with nothing but a version
        assert faults(kind, document) == []
        listed = {"cniVersion": "1.0.0", "name": "n", "plugins": [document]}
        assert faults("conflist", listed) == []
        judged += 1
    assert judged


@pytest.mark.parametrize("path", RELEASED, ids=path_id)
def test_what_former_releases_obeyed_is_valid(path: Path) -> None:
    """Lists of former releases are valid still."""
    document = json.loads(path.read_text())
    for part in ("plugins", "beside"):
        listed = {"cniVersion": "1.1.0", "name": "n", "plugins": document.get(part, [])}
        assert faults("conflist", listed) == []


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each key that is no one else's."""
    members = document.items() if isinstance(document, dict) else enumerate(document)
    for key, inner in members:
        if isinstance(key, str):
            yield (*path, key)
        if isinstance(inner, dict | list) and key not in OPEN:
            yield from places(inner, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    """Return what is at a path."""
    for key in path:
        document = document[key]
    return document


def mutants(whole: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield documents with one key misspelt, or one value of another type."""
    for path in places(whole["plugins"]):
        *upper, key = ("plugins", *path)
        misspelt = copy.deepcopy(whole)
        inside = at(misspelt, tuple(upper))
        inside[f"{key}x"] = inside.pop(key)
        if key != "type" or upper[-1] != "ipam":  # of an IPAM plugin one cannot know
            yield f"{path} misspelt", misspelt
        wrong = copy.deepcopy(whole)
        at(wrong, tuple(upper))[key] = 3.5
        yield f"{path} 3.5", wrong


@pytest.mark.parametrize("path", EXAMPLES, ids=path_id)
def test_what_is_misspelt_or_of_another_type_is_not_valid(path: Path) -> None:
    """Each key of each example counts: with another name or value it is a fault."""
    whole = json.loads(path.read_text())
    found = [name for name, mutant in mutants(whole) if not faults("conflist", mutant)]
    assert found == []


@pytest.mark.parametrize(
    ("what", "document"),
    [
        ("bridge", {"type": "bridge", "vlan": 4095}),
        ("bridge", {"type": "bridge", "mtu": -1}),
        ("bridge", {"type": "bridge", "ipMasqBackend": "ipchains"}),
        ("bridge", {"type": "bridge", "ipMasqExcept": ["10.0.0.0"]}),
        ("bridge", {"type": "bridge", "ipam": {"type": "static", "subnet": "::/64"}}),
        ("bridge", {"type": "bridge", "ipam": {"type": "host-local", "addresses": []}}),
        ("bridge", {"type": "bridge", "capabilities": {"mac": "yes"}}),
        ("macvlan", {"type": "macvlan", "mode": "brigde"}),
        ("macvlan", {"type": "macvlan", "mac": "02:00"}),
        ("portmap", {"type": "portmap", "ipam": {"type": "static"}}),
        ("portmap", {"type": "portmap", "markMasqBit": 32}),
        ("firewall", {"type": "firewall", "ingressPolicy": "closed"}),
        ("firewall", {"type": "firewall", "cniVersion": "0.3.1"}),
        ("vrf", {"type": "vrf"}),
        ("host-local", {"type": "host-local", "ranges": [{"subnet": "10.0.0.0/8"}]}),
        ("dhcp", {"type": "dhcp", "provide": [{"value": "a"}]}),
        ("conflist", {"cniVersion": "1.1.0", "plugins": []}),
        ("conflist", {"name": "a/b", "plugins": []}),
        (None, {"type": "bridge", "isGatway": True}),
        (None, {"name": "n"}),
    ],
)
def test_what_no_plugin_takes_is_not_valid(
    what: str | None, document: dict[str, Any]
) -> None:
    """Beyond types: bounds, words, forms, and whose key it is."""
    assert faults(what, document) != []


@pytest.mark.parametrize(
    "plugin",
    [
        {"type": "calico", "anything": {"at": "all"}},
        {"type": "bridge", "ipam": {"type": "whereabouts", "range": "10.0.0.0/24"}},
        {"type": "bridge", "ipam": {}},
        {"type": "firewall", "ingressPolicy": ""},
        {"type": "portmap", "capabilities": {"portMappings": True, "io.x": True}},
    ],
)
def test_what_others_know_is_theirs(plugin: dict[str, Any]) -> None:
    """Of plugins of others a schema says nothing."""
    assert (
        faults("conflist", {"name": "n", "plugins": [plugin], "nerdctlID": "a"}) == []
    )


def test_bounds_are_those_of_the_plugins() -> None:
    """A number beyond a bound of the schema is refused by the plugin too, and the bound
    itself by neither.
    """
    known = KNOWN["schemas"]
    tried = 0
    for name in set(REGISTER) - {"host-local", "static", "dhcp"}:
        for key, node in known[name]["properties"].items():
            for word, step in (("minimum", -1), ("maximum", 1)):
                if word not in node:
                    continue
                conf = {"type": name, "cniVersion": "1.1.0", "name": "n"}
                conf |= NEEDED.get(name, {})
                keys.check(name, {**conf, key: node[word]}, "")
                with pytest.raises(CNIError, match=key):
                    keys.check(name, {**conf, key: node[word] + step}, "")
                tried += 1
    assert tried >= 20


POOL: list[Any] = [
    *(0, 1, -1, 31, 32, 4094, 4095, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**64),
    *(1.5, True, False, "", "a", "eth0", "/a", "a/b", "../a", "1500"),
    *(
        "10.1.2.3",
        "10.1.2.3/24",
        "10.1.2.0/24",
        "fd00::1",
        "fd00::/64",
        "::ffff:1.2.3.4",
    ),
    *("02:00:00:00:00:01", "0200.0000.0001", "02-00-00-00-00-01", "01:00:5e:00:00:01"),
    *("nftables", "iptables", "firewalld", "bridge", "l2", "l3s", "vepa", "isolated"),
    *("same-bridge", "ready", "0000:00:1f.6", "/sys/devices/pci0", "host-name", "12"),
    *([], ["a"], [1], [[]], ["10.1.2.0/24"], ["10.1.2.3"], [{"id": 5}], [{"id": 0}]),
    *([{"minID": 1, "maxID": 2}], [{"dst": "0.0.0.0/0"}], [{"dst": "::/0", "gw": ""}]),
    *([{"address": "10.1.2.3/24"}], [{"option": "fqdn"}], [{"option": "x"}]),
    *([[{"subnet": "10.1.2.0/24"}]], [[{"subnet": "10.1.2.0/24", "gateway": ""}]]),
    *(
        {},
        {"a": "b"},
        {"a": 1},
        {"nameservers": ["1.1.1.1"]},
        {"net.core.somaxconn": "9"},
    ),
]
# Of any type here: no container is to fail over its log, the others runtimes write.
UNREAD = {
    *("logFile", "logLevel", "cni.dev/valid-attachments", "cni.dev/attachments"),
    *("capabilities", "prevResult"),
}


@pytest.mark.parametrize("name", REGISTER)
def test_schema_refuses_nothing_that_the_plugin_takes(name: str) -> None:
    """Whatever a plugin takes for one of its keys an editor takes as well."""
    is_ipam = load(name).is_ipam
    beyond = []
    for key in set(KNOWN["schemas"][name]["properties"]) - UNREAD - {"type", "name"}:
        for value in POOL:
            if is_ipam:
                ipam = {"subnet": "10.9.0.0/24", "type": name, key: value}
                conf = {"type": "bridge", "ipam": ipam}
                if name != "host-local" and key != "subnet":
                    del ipam["subnet"]
            else:
                conf = {"type": name, **NEEDED.get(name, {}), key: value}
            kind = conf["type"]
            try:
                keys.check(kind, {"cniVersion": "1.1.0", "name": "n", **conf}, "")
            except CNIError:
                continue
            if faults(kind, conf) and not keys.unread(kind, conf):
                beyond.append((key, value))
    assert beyond == []


def joined(tmp_path: Path, text: str) -> None:
    """Join the keys of bridge with a page of other words."""
    other = tmp_path / "bridge.md"
    other.write_text(text)
    common = page(TOP / "docs/keys.md")
    conf = documented.of_model(load("bridge").conf)
    documented.Joined(page(other), common, is_ipam=False).whole(conf)


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("| `mtu` | integer", "| `mut` | integer", "no row says what mtu is"),
        ("| `mtu` | integer", "| `mtu` | string", "mtu is no string, but integer"),
        ("| string | `cni0` |", "| string | `cni1` |", "bridge is 'cni0' by default"),
        ("| `mtu` |", "| `mtu`, `more` |", "no model has more"),
        ("| bool | false | The bridge holds", "| The bridge holds", "four cells"),
        ("| `vlan` |", "| `mtu` |", "mtu has two rows"),
    ],
)
def test_page_that_differs_from_the_model_stops_the_build(
    old: str, new: str, cause: str, tmp_path: Path
) -> None:
    """A key, a type or a default that only one of both knows is named."""
    text = (TOP / "docs/plugins/bridge.md").read_text()
    joined(tmp_path, text)
    with pytest.raises(WrittenError, match=cause):
        joined(tmp_path, text.replace(old, new, 1))
