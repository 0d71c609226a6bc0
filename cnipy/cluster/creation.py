# SPDX-License-Identifier: Apache-2.0
"""`cnipy net create`: a network that nodes may join, written to the store."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from cni_common.spec.errors import CNIError, Code
from cnipy.cluster import stored
from cnipy.lists import taken, wanted
from cnipy.net import keys, ranges
from cnipy.net.records import (
    GPE,
    PORTS,
    VNI_MAX,
    WIREGUARD,
    NetworkConfig,
    Pool,
    is_label,
    new_identity,
)
from cnipy.net.refusal import store_refusal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from cni_common.spec.fields import IPNetwork
    from cnipy.context import Context
    from cnipy.net.store import Store

# A port further on for a second network, as one socket of these is one network's;
# behind 4790 comes RoCE's.
_FURTHER = {GPE: 14790, WIREGUARD: 51821}
_PORT_MAX = 65535
_FORGET_MIN = 60  # seconds


def create(context: Context, options: argparse.Namespace) -> NetworkConfig:
    """Write a network to the store that is as the words say; return it.

    Raises CNIError, with nothing changed, for words that make no sense and for a name,
    a number or addresses that somebody has.
    """
    if not is_label(options.name):
        msg = f"create network {options.name!r:.80}: no label of the DNS in lower case"
        raise CNIError(Code.INVALID_CONFIG, msg, "letters, digits and -, at most 63")
    if 0 < options.forget_after < _FORGET_MIN or options.forget_after < 0:
        msg = f"read --forget-after {options.forget_after}: neither 0 nor a time of "
        msg += f"{_FORGET_MIN} s or more, in which an agent may be restarted"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg)
    pools = _pools(options)
    store = stored.opened(stored.conf())
    doing = f"create network {options.name}"
    with store_refusal(doing), store:
        others = stored.networks(store)
        _check(context, options, pools, others.values())
        for vni in [options.vni] if options.vni else range(1, VNI_MAX + 1):
            if vni in {each.vni for each in others.values()} and not options.vni:
                continue
            made = _config(options, pools, vni, others)
            # It is checked as whoever reads it will.
            NetworkConfig.parse(made.content(), options.name)
            if _written(store, made):
                return made
            if options.vni:
                break
    msg = f"{doing}: VNI {options.vni} is another network's"
    raise CNIError(Code.INVALID_CONFIG, msg, "without --vni one is chosen")


def _written(store: Store, made: NetworkConfig) -> bool:
    """Write the network to the store; false if another has its VNI."""
    key = keys.vni(made.vni)
    if not store.create(key, made.name.encode()):
        return False
    if not store.create(keys.config(made.name), made.content()):
        found = store.get(keys.config(made.name))
        present = found and NetworkConfig.parse(found.value, made.name)
        if not present or present.vni != made.vni:
            store.delete(key)
        raise _exists(made.name)
    return True


def _exists(name: str) -> CNIError:
    msg = f"create network {name}: the store has one of that name"
    return CNIError(Code.INVALID_CONFIG, msg, f"`cnipy net join {name}`")


def _config(
    options: argparse.Namespace,
    pools: tuple[Pool, ...],
    vni: int,
    others: Mapping[str, NetworkConfig],
) -> NetworkConfig:
    return NetworkConfig(
        name=options.name,
        backend=options.backend,
        pools=pools,
        vni=vni,
        port=_port(options, others.values()),
        underlay=tuple(_network("--underlay", each) for each in options.underlay),
        domain="" if options.no_names else options.domain or options.name,
        mtu=options.mtu or 0,
        policy=options.policy,
        forget_after=options.forget_after,
        generation=new_identity(),
    )


def _port(options: argparse.Namespace, others: Iterable[NetworkConfig]) -> int:
    usual = PORTS[options.backend]
    if options.port is not None:
        return int(options.port)
    used = {each.port for each in others}
    if usual not in used or options.backend not in _FURTHER:
        return usual
    further = range(_FURTHER[options.backend], _PORT_MAX)
    return next(port for port in further if port not in used)


def _pools(options: argparse.Namespace) -> tuple[Pool, ...]:
    found = []
    for version, word, block in (
        (wanted.IPV4, options.pool, options.block),
        (wanted.IPV6, options.pool6, options.block6),
    ):
        if word is None:
            continue
        flag = "--pool" if version == wanted.IPV4 else "--pool6"
        network = _network(flag, word)
        if network.version != version:
            msg = f"read {flag} {word}: it is no network of IPv{version}"
            raise CNIError(Code.INVALID_ENVIRONMENT, msg)
        found.append(Pool(network, block))
    if not found:
        msg = f"create network {options.name}: --pool, --pool6 or both are needed"
        raise CNIError(Code.INVALID_ENVIRONMENT, msg, "such as --pool 10.64.0.0/10")
    cause = ranges.of_pools(found)
    if cause:
        raise CNIError(Code.INVALID_CONFIG, f"create network {options.name}: {cause}")
    return tuple(found)


def _network(flag: str, word: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(word)
    except ValueError as error:
        raise CNIError(Code.INVALID_ENVIRONMENT, f"read {flag}: {error}") from error


def _check(
    context: Context,
    options: argparse.Namespace,
    pools: Iterable[Pool],
    others: Iterable[NetworkConfig],
) -> None:
    """Raise CNIError if the name or addresses are another network's, or the host's."""
    wanted_networks = [pool.network for pool in pools]
    for other in others:
        if other.name == options.name:
            raise _exists(options.name)
        for pool in other.pools:
            for each in wanted_networks:
                if each.overlaps(pool.network):
                    msg = (
                        f"create network {options.name} with {each}: network "
                        f"{other.name} has {pool.network}"
                    )
                    raise CNIError(Code.INVALID_CONFIG, msg)
    check_host(context, options.name, wanted_networks)


def check_host(context: Context, name: str, pools: Iterable[IPNetwork]) -> None:
    """Raise Code.INVALID_CONFIG for a pool of which this node has a part otherwise:
    for an underlay, a bridge, or a network of its own.
    """
    lists = taken.members(context.suite, context.conf_directory)
    held = taken.by_lists(context.suite, [m for m in lists if m.name != name])
    for pool in pools:
        for each in [*held, *taken.by_host()]:
            wide = each.is_routed and each.subnet.prefixlen < pool.prefixlen
            if pool.overlaps(each.subnet) and not wide:
                msg = f"have pool {pool} of network {name}: {each.who}"
                raise CNIError(Code.INVALID_CONFIG, msg, "pools are nobody else's")
