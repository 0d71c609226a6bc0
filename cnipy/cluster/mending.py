# SPDX-License-Identifier: Apache-2.0
"""`cnipy net repair`: what kernel, files, store and lists lack is there again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnipy.cluster import stored
from cnipy.lists import shared
from cnipy.net import cache
from cnipy.net.agent.member import Member

if TYPE_CHECKING:
    from cnipy.context import Context


def repair(context: Context, network: str | None) -> list[str]:
    """Ensure all that this node needs of a network, or of each; tell what was done.

    Raises CNIError.
    """
    conf = stored.conf()
    done = []
    for name in [stored.joined(network)] if network else cache.joined():
        told: list[str] = []
        member = Member(name, conf, told.append)
        done += [f"{name}: {each}" for each in [*member.repair(), *told]]
        if not shared.file(context, name):
            config, _ = member.known()
            file = shared.write(context, config, member.mtu())
            done.append(f"{name}: wrote {file}")
    return done
