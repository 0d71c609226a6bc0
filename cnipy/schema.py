# SPDX-License-Identifier: Apache-2.0
"""`cnipy schema`: JSON Schema of a plugin's configuration or of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.spec.errors import CNIError, Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    Node = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LIST = "conflist"
NET = "net"
_HERE = "#/$defs/"
# A file of a configuration directory is a list, or a plugin alone.
_EITHER = {
    "type": "object",
    "if": {"required": ["plugins"]},
    "then": {"$ref": f"{_HERE}{LIST}"},
    "else": {"$ref": f"{_HERE}plugin"},
}
_TITLES = {
    None: "a CNI network",
    LIST: "a CNI network",
    NET: "/etc/cnipy/net.toml",
}


def document(keys: Node, what: str | None) -> Node:
    """Return the schema of a plugin's configuration, of `conflist`, of `net`, which is
    /etc/cnipy/net.toml, or of either of the first two.

    `keys` is what is known of all keys (cnipy/suite.py); of an IPAM plugin it is the
    schema of `ipam`. It stands alone. Raises Code.INVALID_ENVIRONMENT for a name that
    is none of these.
    """
    schemas: dict[str, Node] = keys["schemas"]
    known = [LIST, NET, *keys["capabilities"]]
    if what is not None and what not in known:
        msg = f"schema: no plugin of this suite is called {what}"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, f"known are {' '.join(known)}")
    node = _EITHER if what is None else schemas[what]
    needed: dict[str, Node] = {}
    pending = list(_named(node))
    while pending:
        name = pending.pop()
        if name not in needed:
            needed[name] = schemas[name]
            pending += _named(schemas[name])
    definitions = dict(sorted(needed.items()))
    environment = keys["environment"].get(what)
    if environment:
        definitions["CNI_ARGS"] = _environment(environment)
    title = _TITLES.get(what, f"the CNI plugin {what}")
    whole: Node = {"$schema": DIALECT, "title": title, **node}
    return {**whole, "$defs": definitions} if definitions else whole


def _named(node: Any) -> Iterator[str]:
    """Yield what a schema refers to."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key == "$ref":
            yield value.removeprefix(_HERE)
        elif isinstance(value, dict | list):
            yield from _named(value)


def _environment(known: dict[str, str]) -> Node:
    members = {k: {"type": "string", "description": v} for k, v in known.items()}
    text = "keys of CNI_ARGS, which is no part of a configuration"
    return {"type": "object", "description": text, "properties": members}
