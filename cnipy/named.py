# SPDX-License-Identifier: Apache-2.0
"""A living container is found by other names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.attachment import record
from cni_common.frame.rollback import Rollback
from cni_common.names import host_names
from cni_common.parts.names import Names
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace
from cnipy import change as changes
from cnipy.verb import Answer
from cnipy.words import document

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from cnipy.cache import Entry
    from cnipy.change import Living
    from cnipy.context import Context
    from cnipy.paper import Paper

_PLUGIN, _CAPABILITY, _OWN = "dnsname", "aliases", "K8S_POD_NAME"


class Named(Answer):
    """By which names a container is found, on each of its networks."""

    def __init__(self, found: list[Living]) -> None:
        self._names = [(living, _served(living)) for living in found]

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield a line for each network."""
        for living, names in self._names:
            yield paper.cut(f"{living}: {', '.join(names) or 'it has no name'}")

    def document(self) -> list[dict[str, Any]]:
        """Return a list with an object for each network."""
        return [
            {
                **document(living.entry.network, living.entry.attachment),
                "names": names,
            }
            for living, names in self._names
        ]


def rename(context: Context, options: argparse.Namespace) -> Named:
    """Give a container another name of its own; its aliases stay.

    Raises CNIError, with nothing changed on any network.
    """

    def wanted(living: Living) -> Entry:
        name = options.name
        _require_fit(living, [name])
        _require_free(living, name)
        at = living.entry.attachment
        others = tuple(pair for pair in at.args if pair[0] != _OWN)
        given = replace(at, args=(*others, (_OWN, name)))
        return replace(living.entry, attachment=given)

    return _change(context, options, "", wanted)


def alias(context: Context, options: argparse.Namespace) -> Named:
    """Give a container further names, or take them away.

    Raises CNIError, with nothing changed on any network.
    """

    def wanted(living: Living) -> Entry:
        asked = living.asked(_CAPABILITY)
        others = asked if isinstance(asked, dict) else {}
        network = living.entry.network
        held = [str(each) for each in others.get(network) or ()]
        if options.remove:
            names = _without(living, held, options.names)
        else:
            _require_fit(living, options.names)
            names = list(dict.fromkeys([*held, *options.names]))
        given = others | {network: names}
        kept = {key: value for key, value in given.items() if value}
        return living.asking(_CAPABILITY, kept)

    return _change(context, options, _CAPABILITY, wanted)


def _change(
    context: Context,
    options: argparse.Namespace,
    capability: str,
    wanted: Callable[[Living], Entry],
) -> Named:
    """Have what is `wanted` on all networks that are meant, or on none."""
    with context.cache.locked(alone=True), Rollback() as undo:
        found = changes.every(
            context, options.container, _PLUGIN, capability, vars(options)
        )
        for living, entry in [(each, wanted(each)) for each in found]:
            changes.make(context, living, entry)
            undo(changes.make, context, living, living.entry)
        return Named(found)


def _served(living: Living) -> list[str]:
    found = living.record()
    parts = found.parts if found else ()
    return [name for each in parts if isinstance(each, Names) for name in each.names]


def _forms(living: Living, name: str) -> list[str]:
    """Return what a name is served as on the network; nothing for what cannot be."""
    domain = str(gojson.member(living.plugin, "domainName") or "")
    return host_names.served([name], domain.removesuffix("."))


def _require_fit(living: Living, names: list[str]) -> None:
    """Raise Code.INVALID_ENVIRONMENT for what cannot be the name of a host."""
    for name in names:
        if not _forms(living, name):
            msg = f"name {living}: {name!r:.80} cannot be the name of a host"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg, "letters, digits, - and _")


def _require_free(living: Living, name: str) -> None:
    """Raise Code.INVALID_ENVIRONMENT where another container is called so."""
    wanted = {form.casefold() for form in _forms(living, name)}
    for owner, found in record.others(living.kind, living.owner):
        if owner.network != living.entry.network:
            continue
        if owner.container_id == living.owner.container_id:
            continue
        held = (
            n for part in found.parts if isinstance(part, Names) for n in part.names
        )
        if wanted & {each.casefold() for each in held}:
            msg = f"name {living}: container {owner.container_id} is called {name}"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg, "an alias may be of several")


def _without(living: Living, held: list[str], names: list[str]) -> list[str]:
    """Return the aliases but `names`; raises Code.INVALID_ENVIRONMENT for others."""
    unknown = [name for name in names if name not in held]
    if unknown:
        msg = f"name {living}: {unknown[0]} is no alias of it"
        raise CNIError(
            Code.INVALID_ENVIRONMENT, msg, f"aliases: {', '.join(held) or 'none'}"
        )
    return [name for name in held if name not in names]
