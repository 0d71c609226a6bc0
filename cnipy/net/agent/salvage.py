# SPDX-License-Identifier: Apache-2.0
"""What a node that leaves goes by where its own files are damaged."""

from __future__ import annotations

from contextlib import contextmanager, suppress

from cni_common.kernel.netlink import Netlink
from cni_common.pool.held import Held
from cni_common.spec.errors import CNIError, Code
from cnipy.net import keys
from cnipy.net.agent import holding
from cnipy.net.dataplane import device
from cnipy.net.documents import RecordError
from cnipy.net.records import GPE, PORTS, NetworkConfig, Pool, new_identity

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnipy.net.cache import Cache
    from cnipy.net.records import NodeRecord
    from cnipy.net.store import Store


def config(store: Store | None, cache: Cache) -> NetworkConfig:
    """Return the network as the disk has it, or else the store, or else its traces.

    Of the last, name, number and pools are right, as far as they are to be seen: what
    is removed is found by these. Raises CNIError, StoreError.
    """
    with _suppressed():
        kept = cache.config()
        if kept is not None:
            return kept
    found = store.get(keys.config(cache.name)) if store else None
    if found is not None:
        with suppress(RecordError):
            return NetworkConfig.parse(found.value, cache.name)
    return _of_traces(cache.name)


def own(cache: Cache, config: NetworkConfig) -> NodeRecord | None:
    """Return the node's own record, None for one that is damaged; raises CNIError."""
    with _suppressed():
        return cache.own(config)
    return None


def _of_traces(name: str) -> NetworkConfig:
    with Netlink() as netlink:
        link = device.left_of(netlink, name)
    number = link.name.rpartition(".")[2] if link else ""
    before = holding.present(name) or Held(())
    pools = []
    for network in before.pools:
        lengths = [b.prefixlen for b in before.blocks if b.version == network.version]
        pools.append(Pool(network, max(lengths, default=network.prefixlen)))
    return NetworkConfig(
        name=name,
        backend=GPE,  # by which nothing is asked of the device
        pools=tuple(pools),
        vni=int(number) if number.isdecimal() else 0,
        port=PORTS[GPE],
        generation=new_identity(),
    )


@contextmanager
def _suppressed() -> Iterator[None]:
    """Pass over a file that is damaged."""
    try:
        yield
    except CNIError as error:
        if error.code != Code.DECODE_FAILURE:
            raise
