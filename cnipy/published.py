# SPDX-License-Identifier: Apache-2.0
"""The published ports of a living container are others by now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.parts.published_ports import PublishedPorts
from cni_common.spec.errors import CNIError, Code
from cnipy import change as changes
from cnipy import port_words
from cnipy.verb import Answer
from cnipy.words import document

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from cni_common.published.claims import Mapping
    from cnipy.change import Living
    from cnipy.context import Context
    from cnipy.paper import Paper
    from cnipy.port_words import Meant

_PLUGIN, _CAPABILITY = "portmap", "portMappings"


class Published(Answer):
    """Which ports lead to a container, and where they lead."""

    def __init__(self, living: Living, part: PublishedPorts | None) -> None:
        self._living, self._part = living, part

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield a line for each port that leads to the container now."""
        yield paper.cut(f"{self._living}:")
        for mapping in self._part.mappings if self._part else ():
            at = " and ".join(self._addresses(mapping))
            yield paper.cut(f"  {mapping}, at {at}")
        if self._part is None:
            yield "  no port is published"

    def document(self) -> dict[str, Any]:
        """Return the attachment with its ports."""
        mappings = self._part.mappings if self._part else ()
        ports = [
            port_words.document(each) | {"addresses": self._addresses(each)}
            for each in mappings
        ]
        at = self._living.entry.attachment
        return {**document(self._living.entry.network, at), "ports": ports}

    def _addresses(self, mapping: Mapping) -> list[str]:
        targets = self._part.targets if self._part else ()
        return [target.address for target in mapping.targets_of(targets)]


def change(
    context: Context,
    options: argparse.Namespace,
    wanted: Callable[[list[Mapping], list[Mapping]], list[Mapping]],
) -> Published:
    """Publish what is `wanted`; raises CNIError, nothing changed.

    It is told what is published, and of what the runtime knows. Those that stay lead on
    without a moment's stop.
    """
    with context.cache.locked(alone=True):
        living = changes.chosen(
            context, options.container, _PLUGIN, _CAPABILITY, vars(options)
        )
        kept = port_words.of_documents(living.asked(_CAPABILITY))
        part = _part(living)
        held = kept if part is None else list(part.mappings)
        mappings = list(dict.fromkeys(wanted(held, kept)))
        _require_family(living, mappings)
        asked = living.asking(_CAPABILITY, [*map(port_words.document, mappings)])
        changes.make(context, living, asked)
        return Published(living, _part(living))


def without(
    held: list[Mapping], kept: list[Mapping], unwanted: list[Meant]
) -> list[Mapping]:
    """Return those of `held` that are not `unwanted`.

    Raises Code.INVALID_ENVIRONMENT for a word that fits none of them, nor what the
    runtime has `kept`: it does not know of a withdrawal that was killed at its end.
    """
    for each in unwanted:
        if not any(map(each.fits, (*held, *kept))):
            msg = f"withdraw {each.word}: the container has no such port"
            there = ", ".join(map(str, held)) or "none"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg, f"published: {there}")
    return [one for one in held if not any(each.fits(one) for each in unwanted)]


def _part(living: Living) -> PublishedPorts | None:
    found = living.record()
    parts = found.parts if found else ()
    return next((each for each in parts if isinstance(each, PublishedPorts)), None)


def _require_family(living: Living, mappings: list[Mapping]) -> None:
    """Raise Code.INVALID_ENVIRONMENT for a port that would lead nowhere."""
    ips = living.entry.result.get("ips") or ()
    families = {6 if ":" in str(ip.get("address")) else 4 for ip in ips}
    for mapping in mappings:
        if not families & {*mapping.families}:
            at = f" of {mapping.host_ip}" if mapping.host_ip else ""
            family = f"an IPv{mapping.families[0]}" if mapping.host_ip else "an"
            msg = f"publish {mapping.port}{at}: the container has not {family} address"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg)
