# SPDX-License-Identifier: Apache-2.0
"""What an administrator probably did not mean, of one list and of all files.

`validate` tells all of it, `add` and `status` what plugins accept and nobody can mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cni_common.spec import gojson
from cnipy.doubts import keys, order
from cnipy.doubts.doubt import Doubt, near
from cnipy.doubts.entries import Entry, entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnipy.network import Network
    from cnipy.suite import Suite


def of_network(suite: Suite, network: Network) -> Iterator[Doubt]:
    """Yield each doubt about a list by itself; paths are those of a list."""
    listed = entries(suite, network)
    yield from order.misplaced(listed)
    for entry in listed:
        yield from keys.refused(suite, entry)
    yield from _tolerated(suite, network, listed)
    for entry in listed:
        yield from keys.only_ours(suite, entry)


def _tolerated(suite: Suite, network: Network, listed: list[Entry]) -> Iterator[Doubt]:
    """Yield what plugins accept and nobody can mean."""
    yield from keys.of_list(network.name, gojson.load_object(network.text))
    for entry in listed:
        yield from keys.unread(suite, entry)
        yield from keys.capabilities(suite, entry)
    yield from order.idle(suite, listed)


def doubts(
    suite: Suite,
    network: Network,
    listed: Iterable[tuple[str, str]],
    given: Mapping[str, object],
) -> Iterator[str]:
    """Yield a sentence for each doubt that no plugin tells about `network`, of which
    the first of those `listed` (name, file) is taken; `given` are the capability values
    of an ADD.
    """
    files = [file for name, file in listed if name == network.name]
    if len(files) > 1:
        rest = " ".join(files[1:])
        yield f"{network.name} is taken from {files[0]}; also of that name: {rest}"
    found = entries(suite, network)
    yield from (each.text for each in _tolerated(suite, network, found))
    declared = {name for entry in found for name in entry.declared}
    # A value goes to the plugins that declare its capability as true, if any does.
    for name in given:
        if name not in declared:
            meant = near(name, (*declared, *keys.CAPABILITIES))
            hint = meant or f'; "capabilities": {{"{name}": true}} in one would ask'
            yield f"CAP_ARGS: no plugin of {network.name} asks for {name!r}{hint}"
