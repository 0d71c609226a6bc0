# SPDX-License-Identifier: Apache-2.0
"""What an administrator probably did not mean, and no plugin may refuse.

The specification has plugins accept keys that they do not know, for runtimes add some.
So a mistyped key, or a capability that reaches nobody, shows only in what is missing.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from cni_common.spec import gojson

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from cnipy.network import Network
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
_CAPABILITIES = (
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


def doubts(
    suite: Suite,
    network: Network,
    listed: Iterable[tuple[str, str]],
    given: Mapping[str, object],
) -> Iterator[str]:
    """Yield a sentence for each doubt about `network`, of which the first of those
    `listed` (name, file) is taken; `given` are the capability values of an ADD.
    """
    files = [file for name, file in listed if name == network.name]
    if len(files) > 1:
        rest = " ".join(files[1:])
        yield f"{network.name} is taken from {files[0]}; also of that name: {rest}"
    document = gojson.load_object(network.text)
    for key in document:
        near = _near(key, _LIST_KEYS)
        if key not in _LIST_KEYS and near:
            yield f"list {network.name}: nothing reads {key!r}{near}"
    for plugin in network.plugins:
        yield from _plugin(suite, plugin)
    yield from _unreached(network, given)


def _plugin(suite: Suite, plugin: Mapping[str, Any]) -> Iterator[str]:
    kind = str(gojson.member(dict(plugin), "type"))
    declared = _declared(plugin)
    if kind in suite.names:
        yield from (f"{kind}: {text}" for text in suite.doubts(kind, plugin, declared))
        for unread in suite.unread(kind, plugin):
            last = unread.path.rpartition(".")[2]
            near = _near(last, unread.known)
            yield f"{kind}: nothing reads {unread.path!r}{near}"
    for name in declared:
        near = _near(name, _CAPABILITIES)
        if name not in _CAPABILITIES and near:
            yield f"{kind}: no runtime sends the capability {name!r}{near}"


def _unreached(network: Network, given: Mapping[str, object]) -> Iterator[str]:
    """A value goes to the plugins that declare its capability as true, if any does."""
    declared = {name for plugin in network.plugins for name in _declared(plugin)}
    for name in given:
        if name not in declared:
            near = _near(name, (*declared, *_CAPABILITIES))
            hint = near or f'; "capabilities": {{"{name}": true}} in one would ask'
            yield f"CAP_ARGS: no plugin of {network.name} asks for {name!r}{hint}"


def _declared(plugin: Mapping[str, Any]) -> list[str]:
    wanted = gojson.member(dict(plugin), "capabilities")
    return [name for name in wanted if wanted[name]] if isinstance(wanted, dict) else []


def _near(name: str, known: Collection[str]) -> str:
    """Return ", is 'isGateway' meant?", or nothing where none is like `name`."""
    folded = {key.casefold(): key for key in known if key != name}
    found = get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
    return f", is {folded[found[0]]!r} meant?" if found else ""
