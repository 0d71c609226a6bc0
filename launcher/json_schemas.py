# SPDX-License-Identifier: Apache-2.0
"""Build step: write down JSON Schemas of the plugins' keys, for editors and operators.

    python -m launcher.json_schemas FILE

What a value may be is what the models say, what a key means and what it is by default
the tables in docs. A key that only one of them has ends the build: WrittenError.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cni_common.spec.request import ATTACHMENT_KEYS
from cni_common.spec.versions import SUPPORTED
from cnipy.net.conf import NetFile
from launcher.documented import Joined, of_model
from launcher.key_tables import DOCS, Page, WrittenError, page
from launcher.loading import load
from plugins import REGISTER, versions_of

if TYPE_CHECKING:
    Node = dict[str, Any]

_NAME = "^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def _plugin(name: str, made: Node) -> Node:
    """Return the schema of a plugin's configuration, an entry of a list or a file."""
    members = made["properties"]
    members["type"] = {"const": name, "description": members["type"]["description"]}
    members["cniVersion"]["enum"] = ["", *versions_of(name)]
    members["name"]["pattern"] = _NAME
    for key in ATTACHMENT_KEYS:  # null, where libcni means none
        members[key]["type"] = ["array", "null"]
    return made


def _ipam(name: str, made: Node) -> Node:
    """Return the schema of `ipam` of an IPAM plugin."""
    node: Node = made["properties"]["ipam"]
    described = node["properties"]["type"]["description"]
    node["properties"]["type"] = {"const": name, "description": described}
    return node


def _with_ipam(made: Node, ipam: dict[str, Node]) -> Node:
    """Return a delegating plugin's schema, with what its IPAM plugins are sent."""
    members = made["properties"]
    if "ipam" not in members:
        return made
    described = members["ipam"]["description"]
    members["ipam"] = {"description": described, "$ref": "#/$defs/ipam"}
    for whole in ipam.values():
        _merge(members["runtimeConfig"], whole["properties"]["runtimeConfig"])
        _merge(members["args"], whole["properties"]["args"])
    return made


def _merge(node: Node, other: Node) -> None:
    """Add members of `other` to `node`; what both have may be either."""
    members = node.setdefault("properties", {})
    for key, inner in other.get("properties", {}).items():
        mine = members.setdefault(key, inner)
        if mine.get("type") == inner.get("type") == "object":
            _merge(mine, inner)
        elif mine != inner:
            either = mine.get("anyOf", [mine])
            text = f"{mine['description']}; or {inner['description']}"
            members[key] = {"description": text, "anyOf": [*either, inner]}


def _chosen(names: list[str]) -> Node:
    """Return the schema of an object whose `type` says what else is in it."""
    kind = {"type": "string", "examples": names}
    cases = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"$ref": f"#/$defs/{name}"},
        }
        for name in names
    ]
    return {"type": "object", "properties": {"type": kind}, "allOf": cases}


def _list(common: Page) -> Node:
    """Return the schema of a list, to which runtimes add keys of their own."""
    version = {"type": "string", "enum": list(SUPPORTED)}
    flag = {"enum": [True, False, "true", "false"]}
    known: dict[str, Node] = {
        "cniVersion": version,
        "cniVersions": {"type": "array", "items": {"type": "string"}},
        "name": {"type": "string", "pattern": _NAME},
        **dict.fromkeys(("disableCheck", "disableGC", "loadOnlyInlinedPlugins"), flag),
        "plugins": {"type": "array", "items": {"$ref": "#/$defs/plugin"}},
    }
    rows = common.tables["list"]
    if rows.keys() != known.keys():
        raise WrittenError(f"{common.path}: the keys of a list are {list(known)}")
    members = {
        key: {"description": rows[key].description(), **node}
        for key, node in known.items()
    }
    needed = [key for key, row in rows.items() if row.required]
    return {"type": "object", "properties": members, "required": needed}


def _net(common: Page) -> Node:
    """Return the schema of the file that says where the store is."""
    own = page(DOCS / "many-nodes.md")
    return Joined(own, common, is_ipam=False).file(of_model(NetFile))


def everything() -> dict[str, Any]:
    """Return all schemas by name, and by plugin the capabilities and keys of CNI_ARGS
    that it reads, and those of its keys that the reference has not.

    Raises WrittenError for what is in models and not in docs, or the other way round.
    """
    common = page(DOCS / "keys.md")
    found: dict[str, Node] = {}
    joined: dict[str, Joined] = {}
    ipam = {name for name in REGISTER if load(name).is_ipam}
    for name in REGISTER:
        own = page(DOCS / f"plugins/{name}.md")
        joined[name] = Joined(own, common, is_ipam=name in ipam)
        found[name] = joined[name].whole(of_model(load(name).conf))
        found[name]["description"] = own.summary
    capabilities = {
        name: sorted(whole["properties"]["runtimeConfig"].get("properties", ()))
        for name, whole in found.items()
    }
    of_ipam = {name: found[name] for name in sorted(ipam)}
    schemas = {
        name: _ipam(name, whole)
        if name in ipam
        else _plugin(name, _with_ipam(whole, of_ipam))
        for name, whole in found.items()
    }
    for name in REGISTER.keys() - ipam:
        _asked(schemas[name])
    schemas["ipam"] = _chosen(sorted(ipam))
    schemas["plugin"] = _chosen(sorted(REGISTER.keys() - ipam))
    schemas["plugin"]["required"] = ["type"]
    schemas["conflist"] = _list(common)
    schemas["net"] = _net(common)
    return {
        "schemas": schemas,
        "capabilities": capabilities,
        "environment": {name: joined[name].environment() for name in REGISTER},
        "ours": {name: joined[name].ours() for name in REGISTER},
    }


def _asked(made: Node) -> None:
    """Describe what a plugin may ask for by `capabilities`."""
    sent = made["properties"]["runtimeConfig"].get("properties", {})
    node = made["properties"]["capabilities"]
    node["properties"] = {
        key: {"type": "boolean", "description": inner["description"]}
        for key, inner in sent.items()
    }
    node["additionalProperties"] = {"type": "boolean"}


if __name__ == "__main__":
    text = json.dumps(everything(), separators=(",", ":"))
    Path(sys.argv[1]).write_text(f"{text}\n", encoding="utf-8")
