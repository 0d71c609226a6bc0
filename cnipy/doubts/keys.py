# SPDX-License-Identifier: Apache-2.0
"""Keys that nobody reads, and capabilities that reach nobody.

The specification has plugins accept keys that they do not know, for runtimes add some.
So a mistyped key shows only in what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.spec import gojson
from cnipy.doubts.doubt import ERROR, NOTE, WARNING, Doubt, dotted, near

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnipy.doubts.doubt import Path
    from cnipy.doubts.entries import Entry
    from cnipy.suite import Suite

# Of a list (section 1); nerdctl and Podman add keys of their own.
_LIST_KEYS = (
    "cniVersion",
    "cniVersions",
    "name",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "plugins",
)
# CONVENTIONS.md of the specification; aliases are Podman's.
CAPABILITIES = (
    "portMappings",
    "ipRanges",
    "bandwidth",
    "dns",
    "ips",
    "mac",
    "infinibandGUID",
    "deviceID",
    "aliases",
    "cgroupPath",
)


def of_list(name: str, document: Mapping[str, Any]) -> Iterator[Doubt]:
    """Yield keys of a list that are nearly one of the specification's."""
    for key in document:
        meant = near(key, _LIST_KEYS)
        if key not in _LIST_KEYS and meant:
            text = f"list {name}: nothing reads {key!r}{meant}"
            yield Doubt(WARNING, text, (key,), of_key=True)


def unread(suite: Suite, entry: Entry) -> Iterator[Doubt]:
    """Yield keys that neither the plugin nor its IPAM plugin reads."""
    for each in suite.unread(entry.kind, entry.document) if entry.is_ours else ():
        last = str(each.path[-1])
        text = f"nothing reads {dotted(each.path)!r}{near(last, each.known)}"
        path = (*entry.path, *each.path)
        yield Doubt(WARNING, f"{entry.kind}: {text}", path, of_key=True)


def refused(suite: Suite, entry: Entry) -> Iterator[Doubt]:
    """Yield values that the plugin, or its IPAM plugin, would refuse on ADD."""
    if not entry.is_ours or entry.is_ipam:
        return
    for each in suite.refused(entry.kind, entry.whole):
        yield Doubt(ERROR, f"{entry.kind}: {each.text}", (*entry.path, *each.path))


def only_ours(suite: Suite, entry: Entry) -> Iterator[Doubt]:
    """Yield keys that the reference plugin of that name does not read."""
    if not entry.is_ours:
        return
    own = suite.keys()["ours"]
    ipam = gojson.member(dict(entry.document), "ipam")
    inside: list[tuple[str, Any, Path]] = [(entry.kind, entry.document, ())]
    if isinstance(ipam, dict) and entry.ipam in own:
        inside.append((entry.ipam, ipam, ("ipam",)))
    for kind, document, path in inside:
        for at in _places(document):
            if dotted(at).casefold() in {key.casefold() for key in own[kind]}:
                text = f"the reference's {kind} does not know {dotted(at)!r}"
                whole = (*entry.path, *path, *at)
                yield Doubt(NOTE, f"{entry.kind}: {text}", whole, of_key=True)


def _places(document: object) -> Iterator[Path]:
    if isinstance(document, dict):
        for key, inner in document.items():
            yield (key,)
            yield from ((key, *rest) for rest in _places(inner))
    elif isinstance(document, list):
        for number, inner in enumerate(document):
            yield from ((number, *rest) for rest in _places(inner))


def capabilities(suite: Suite, entry: Entry) -> Iterator[Doubt]:
    """Yield capabilities that no runtime sends, that the plugin does not take, and
    values that the file itself has in their place.
    """
    key = gojson.spelling(dict(entry.document), "capabilities") or ""
    for name in entry.declared:
        path = (*entry.path, key, name)
        meant = near(name, CAPABILITIES)
        if name not in CAPABILITIES and meant:
            text = f"{entry.kind}: no runtime sends the capability {name!r}{meant}"
            yield Doubt(WARNING, text, path, of_key=True)
        elif _takes(suite, entry, name) is False:
            text = f"{entry.kind}: it takes no capability {name!r}"
            yield Doubt(WARNING, text, path, of_key=True)
    written = gojson.member(dict(entry.document), "runtimeConfig")
    if isinstance(written, dict):
        spelt = gojson.spelling(dict(entry.document), "runtimeConfig") or ""
        for name in written:
            if name in entry.declared:
                continue
            advice = f'"capabilities": {{"{name}": true}} asks a runtime for it'
            text = f"{entry.kind}: runtimeConfig is the runtime's to write; {advice}"
            yield Doubt(WARNING, text, (*entry.path, spelt, name), of_key=True)


def _takes(suite: Suite, entry: Entry, name: str) -> bool | None:
    """Tell whether a plugin reads a capability, None where nobody can tell."""
    if not entry.is_ours or (entry.ipam and entry.ipam not in suite.names):
        return None
    known = suite.keys()["capabilities"]
    return name in {*known[entry.kind], *known.get(entry.ipam, ())}
