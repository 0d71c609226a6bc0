# SPDX-License-Identifier: Apache-2.0
"""What the options of `add` ask for, as runtimes say it to plugins.

Ports, addresses, MAC, aliases and limits are capability values, which reach a plugin
whose entry in the list declares them; the container's name is one of CNI_ARGS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cni_common.spec import gojson
from cni_common.spec.characters import is_identifier
from cni_common.spec.errors import CNIError, Code
from cni_common.spec.fields import address, cidr, mac
from cni_common.spec.values import replace
from cnipy import port_words, rate_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from cnipy.attachment import Attachment
    from cnipy.network import Network

_NAME = "K8S_POD_NAME"
# Plugins of others refuse arguments that they do not know, unless this is one.
_IGNORE = ("IgnoreUnknown", "1")


def with_options(
    attachment: Attachment, network: Network, options: argparse.Namespace
) -> Attachment:
    """Return the attachment with what the options ask for, in the environment's stead.

    Raises CNIError for words that mean nothing, and for what no plugin of the list
    takes.
    """
    declared = _declared(network)
    found = dict(attachment.capability_args)
    for flag, capability, value in _values(network.name, options):
        if capability not in declared:
            msg = f"add to {network.name}: no plugin of its list takes {capability}"
            hint = f'{flag} needs "capabilities": {{"{capability}": true}} in one'
            raise CNIError(Code.INVALID_CONFIG, msg, hint)
        found[capability] = value
    args = attachment.args
    if options.name:
        name = _read("--name", options.name, _name)
        others = [pair for pair in args if pair[0] not in {_NAME, _IGNORE[0]}]
        args = (_IGNORE, *others, (_NAME, name))
    return replace(attachment, args=args, capability_args=found)


def _values(network: str, options: argparse.Namespace) -> list[tuple[str, str, Any]]:
    """Return for each option its capability, and the value as runtimes give it."""
    found: list[tuple[str, str, Any]] = []
    if options.publish:
        ports = [port_words.document(m) for m in port_words.mappings(options.publish)]
        found.append(("--publish", "portMappings", ports))
    if options.ip:
        ips = [_read("--ip", word, _ip) for word in options.ip]
        found.append(("--ip", "ips", ips))
    if options.mac:
        found.append(("--mac", "mac", _read("--mac", options.mac, mac)))
    if options.alias:
        names = [_read("--alias", word, _name) for word in options.alias]
        found.append(("--alias", "aliases", {network: names}))
    limits = _limits(options)
    if limits:
        found.append(("--limit-ingress or --limit-egress", "bandwidth", limits))
    return found


def _limits(options: argparse.Namespace) -> dict[str, int]:
    found: dict[str, int] = {}
    for way in ("ingress", "egress"):
        word = getattr(options, f"limit_{way}")
        if word:
            rate = rate_words.bits(f"limit-{way}", word)
            burst = rate_words.burst(rate)
            found |= {f"{way}Rate": rate, f"{way}Burst": burst}
    return found


def _declared(network: Network) -> set[str]:
    every = [gojson.member(plugin, "capabilities") for plugin in network.plugins]
    wanted = [each for each in every if isinstance(each, dict)]
    return {key for each in wanted for key, value in each.items() if value}


def _ip(word: str) -> str:
    return str(cidr(word) if "/" in word else address(word))


def _name(word: str) -> str:
    if not is_identifier(word):
        raise ValueError(f"{word!r} is no name")
    return word


def _read(flag: str, word: str, meaning: Callable[[str], str]) -> str:
    try:
        return meaning(word)
    except ValueError as error:
        msg = f"read {flag} {word!r:.80}: {error}"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg) from error
