# SPDX-License-Identifier: Apache-2.0
"""The register: CNI type -> module that holds its PLUGIN, and its versions.

Strings only: it is read before anything is imported.
"""

from cni_common.spec.versions import SUPPORTED

# Of the suite; pyproject.toml takes it from here.
VERSION = "0.1.0"

REGISTER: dict[str, str] = {
    "bandwidth": "plugins.bandwidth.plugin",
    "bridge": "plugins.bridge.plugin",
    "dnsname": "plugins.dnsname.plugin",
    "firewall": "plugins.firewall.plugin",
    "host-device": "plugins.host_device.plugin",
    "host-local": "plugins.host_local.plugin",
    "loopback": "plugins.loopback.plugin",
    "macvlan": "plugins.macvlan.plugin",
    "portmap": "plugins.portmap.plugin",
    "ptp": "plugins.ptp.plugin",
    "static": "plugins.static.plugin",
    "tuning": "plugins.tuning.plugin",
}

# Modules with `detach(request) -> bool`: DEL without a configuration, for attachments
# that there is a record of. Models are a good part of a cold start. Who is not among
# them has attachments of parts, for which there is one (cni_common/attachment).
DETACH: dict[str, str] = {
    "dnsname": "plugins.dnsname.detach",
    "firewall": "plugins.firewall.detach",
    "host-local": "plugins.host_local.detach",
    "portmap": "plugins.portmap.detach",
    "static": "plugins.static.detach",
}

# Those of parts that come behind another plugin: their DEL needs no configuration at
# all. Where there is no record, these parts are looked for.
CHAINED: dict[str, tuple[str, ...]] = {
    "bandwidth": ("egress_limit",),
    "tuning": ("link_settings",),
}

# Those of DETACH that write no record of an attachment.
WITHOUT_RECORDS = frozenset({"host-local", "static"})

# Those that have nothing to delete.
WITHOUT_DELETION = frozenset({"loopback"})

# The first version that the reference plugin speaks, where it is not the oldest one.
SINCE: dict[str, str] = {
    "bandwidth": "0.3.0",
    "firewall": "0.4.0",
}


# The release of the reference whose keys a plugin obeys, where it is not RELEASE.
RELEASE = "1.9.1"
RELEASES: dict[str, str] = {
    "dnsname": "1.3.1",  # has a repository of its own
}


def release_of(name: str) -> str:
    """Return what the plugin `name` says of its version, in the form of semver.

    Runtimes ask whether a plugin has the keys of a release of the reference, so that
    one is the version, and ours is its build metadata.
    """
    return f"{RELEASES.get(name, RELEASE)}+cnipy.{VERSION}"


def versions_of(name: str) -> tuple[str, ...]:
    """Return the versions of the specification that the plugin `name` speaks."""
    return SUPPORTED[SUPPORTED.index(SINCE.get(name, SUPPORTED[0])) :]
