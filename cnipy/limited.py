# SPDX-License-Identifier: Apache-2.0
"""The limits of a living container are others by now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common import naming
from cni_common.parts.egress_limit import EgressLimit
from cni_common.parts.ingress_limit import IngressLimit
from cni_common.spec import gojson
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.values import replace
from cnipy import change as changes
from cnipy import rate_words
from cnipy.verb import Answer
from cnipy.words import document

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from cnipy.change import Living
    from cnipy.context import Context
    from cnipy.paper import Paper

_PLUGIN, _CAPABILITY = "bandwidth", "bandwidth"
_WAYS = ("ingress", "egress")


class Limited(Answer):
    """What limits a container."""

    def __init__(self, living: Living) -> None:
        self._living, self._parts = living, _parts(living)

    def lines(self, paper: Paper) -> Iterator[str]:
        """Yield a line for each limit."""
        yield paper.cut(f"{self._living}:")
        for part in self._parts.values():
            yield paper.cut(f"  {part}")
        if not self._parts:
            yield "  nothing is limited"

    def document(self) -> dict[str, Any]:
        """Return the attachment with its limits, null for none."""
        told = dict.fromkeys(_WAYS) | {
            way: {"rate": part.rate, "burst": part.burst}
            for way, part in self._parts.items()
        }
        at = self._living.entry.attachment
        return {**document(self._living.entry.network, at), **told}


def change(context: Context, options: argparse.Namespace) -> Limited:
    """Limit what is asked for; what is not named stays as it is.

    Raises CNIError, with nothing changed.
    """
    asked = _asked(options)
    with context.cache.locked(alone=True):
        living = changes.chosen(
            context, options.container, _PLUGIN, _CAPABILITY, vars(options)
        )
        _require_free(living)
        kept = living.asked(_CAPABILITY)
        subnets = {
            key: value
            for key, value in (kept.items() if isinstance(kept, dict) else ())
            if key.endswith("Subnets")
        }
        rates = _wanted(living, asked)
        wanted = living.asking(_CAPABILITY, rates and subnets | rates)
        bare = _without(wanted.result, naming.ifbs(living.owner))
        changes.make(context, living, replace(wanted, result=bare))
        return Limited(living)


def _asked(options: argparse.Namespace) -> dict[str, int]:
    """Return what the command line says; raises Code.INVALID_ENVIRONMENT."""
    named = ("ingress", "ingress_burst", "egress", "egress_burst")
    given = {key: getattr(options, key) for key in named if getattr(options, key)}
    if bool(given) == options.none:
        cause = "--none leaves no limit to name" if given else "no limit is named"
        msg = f"limit {options.container}: {cause}"
        hint = "--ingress RATE, --egress RATE, or --none by itself"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, hint)
    if options.none:
        return dict.fromkeys(_WAYS, 0)
    return {
        key: rate_words.bits(key.replace("_", "-"), word) for key, word in given.items()
    }


def _wanted(living: Living, asked: Mapping[str, int]) -> dict[str, int]:
    """Return rates and bursts as a runtime gives them: as asked, else as they are."""
    found: dict[str, int] = {}
    held = _held(living)
    for way in _WAYS:
        rate, burst = held.get(way, (0, 0))
        if way in asked:
            rate = asked[way]
            burst = rate_words.burst(rate)
        burst = asked.get(f"{way}_burst", burst)
        if rate or f"{way}_burst" in asked:
            found |= {f"{way}Rate": rate, f"{way}Burst": burst}
    return found


def _held(living: Living) -> dict[str, tuple[int, int]]:
    """Return rates and bursts: by the record, else by what the runtime asked for."""
    if living.record():
        return {way: (each.rate, each.burst) for way, each in _parts(living).items()}
    asked = living.asked(_CAPABILITY)
    given = asked if isinstance(asked, dict) else {}
    pairs = {way: (given.get(f"{way}Rate"), given.get(f"{way}Burst")) for way in _WAYS}
    return {way: (int(r), int(b)) for way, (r, b) in pairs.items() if r and b}


def _parts(living: Living) -> dict[str, IngressLimit | EgressLimit]:
    """Return the limits on record, by way."""
    found = living.record()
    parts: dict[str, IngressLimit | EgressLimit] = {}
    for part in found.parts if found else ():
        if isinstance(part, IngressLimit):
            parts["ingress"] = part
        elif isinstance(part, EgressLimit):
            parts["egress"] = part
    return parts


def _require_free(living: Living) -> None:
    """Raise Code.INVALID_CONFIG where the list has rates: those win over any other."""
    names = [f"{way}{what}" for way in _WAYS for what in ("Rate", "Burst")]
    own = [key for key in names if gojson.member(living.plugin, key) is not None]
    if own:
        network = living.entry.network
        msg = f"limit {living}: the list of {network} has {own[0]}, which wins"
        hint = "without rates in the list, runtimes may limit by the capability"
        raise CNIError(Code.INVALID_CONFIG, msg, hint)


def _without(result: Mapping[str, Any], links: tuple[str, ...]) -> dict[str, Any]:
    """Return a result without these links of the host: the plugin will tell its own."""
    listed = result.get("interfaces") or []
    kept = [
        place
        for place, each in enumerate(listed)
        if each.get("sandbox") or each.get("name") not in links
    ]
    places = {old: new for new, old in enumerate(kept)}
    ips = [
        ip | {"interface": places[ip["interface"]]}
        if ip.get("interface") in places
        else ip
        for ip in result.get("ips") or []
    ]
    return {**result, "interfaces": [listed[place] for place in kept], "ips": ips}
