# SPDX-License-Identifier: Apache-2.0
"""The register: what is known of each plugin before it is imported.

A plugin is the package of its CNI type, with `-` as `_`, whose module `plugin` has
PLUGIN. Every start reads this, VERSION included; so it is text, and no class is made.
"""

from __future__ import annotations

from cni_common.spec.versions import OLDEST, SUPPORTED

TYPE_CHECKING = False  # see launcher/main.py
if TYPE_CHECKING:
    from typing import TypedDict

    class Entry(TypedDict, total=False):
        """Where a plugin differs from most, which delete parts by their record."""

        # DEL without a configuration, whose models are a good part of a cold start, is
        # `detach(request) -> bool` of its module `detach`.
        detach: bool
        # Its parts come behind another plugin: DEL needs no configuration at all, and
        # looks for parts of these kinds where there is no record.
        kinds: tuple[str, ...]
        # Whether it writes records of attachments.
        records: bool
        # An IPAM plugin that asks by the very link: that is made before.
        by_link: bool
        # The first version that the reference plugin speaks, where not the oldest one.
        since: str
        # The release of the reference whose keys it obeys, where not RELEASE.
        release: str


# Of the suite; pyproject.toml takes it from here.
VERSION = "0.1.0"

RELEASE = "1.9.1"

REGISTER: dict[str, Entry] = {
    "bandwidth": {"kinds": ("egress_limit",), "since": "0.3.0"},
    "bridge": {},
    "cluster-pool": {"detach": True, "records": False},
    "dhcp": {"detach": True, "by_link": True},
    "dnsname": {"kinds": ("names",), "release": "1.3.1"},  # has a repository of its own
    "dummy": {},
    "firewall": {"kinds": ("allowed",), "since": "0.4.0"},
    "host-device": {},
    "host-local": {"detach": True, "records": False},
    "ipvlan": {},
    "loopback": {"records": False},
    "macvlan": {},
    "portmap": {"kinds": ("published_ports",)},
    "ptp": {},
    "sbr": {"kinds": ("source_routed",)},
    "static": {"detach": True, "records": False},
    "tap": {},
    "tuning": {"kinds": ("link_settings",)},
    "vlan": {},
    "vrf": {"kinds": ("vrf_member",), "since": "0.3.1"},
}


def module_of(name: str, module: str) -> str:
    """Return the name of a module of the plugin `name`."""
    return f"plugins.{name.replace('-', '_')}.{module}"


def release_of(name: str) -> str:
    """Return what the plugin `name` says of its version, in the form of semver.

    Runtimes ask whether a plugin has the keys of a release of the reference, so that
    one is the version, and ours is its build metadata.
    """
    return f"{REGISTER[name].get('release', RELEASE)}+cnipy.{VERSION}"


def versions_of(name: str) -> tuple[str, ...]:
    """Return the versions of the specification that the plugin `name` speaks."""
    return SUPPORTED[SUPPORTED.index(REGISTER[name].get("since", OLDEST)) :]
