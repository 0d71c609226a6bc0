# SPDX-License-Identifier: Apache-2.0
"""What a plugin's model says about a configuration, for the operator's command."""

from __future__ import annotations

from cni_common.spec import gojson
from cnipy.suite import Unread
from launcher.loading import load
from plugins import REGISTER

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from cni_common.spec.model import GoModel

# What runtimes write, or read, is not the plugin's alone; `ipam` is another's.
_NOT_ITS_OWN = frozenset(
    {"args", "capabilities", "ipam", "prevresult", "runtimeconfig"}
)


def unread(kind: str, document: Mapping[str, Any]) -> list[Unread]:
    """Return the keys of the configuration that neither plugin nor IPAM plugin reads.

    Both are looked at as far as they are in the register.
    """
    own = {k: v for k, v in document.items() if k.casefold() not in _NOT_ITS_OWN}
    found = _of(load(kind).conf, own)
    ipam = gojson.member(dict(document), "ipam")
    if isinstance(ipam, dict) and gojson.member(ipam, "type") in REGISTER:
        conf = load(str(gojson.member(ipam, "type"))).conf
        found += _of(conf, {"ipam": ipam})
    return found


def doubts(
    kind: str, document: Mapping[str, Any], declared: Collection[str]
) -> list[str]:
    """Return what in the configuration has no effect, as its plugin's model sees it."""
    from cni_common.spec.model import parse_leniently

    conf, _ = parse_leniently(load(kind).conf, dict(document))
    return conf.doubts(declared)


def _of(model: type[GoModel], document: Mapping[str, Any]) -> list[Unread]:
    return [Unread(path, known) for path, known in model.unread(document)]
