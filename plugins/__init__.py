# SPDX-License-Identifier: Apache-2.0
"""The register: CNI type -> module that holds its PLUGIN. Strings only."""

REGISTER: dict[str, str] = {
    "bridge": "plugins.bridge.plugin",
    "host-local": "plugins.host_local.plugin",
    "loopback": "plugins.loopback.plugin",
    "portmap": "plugins.portmap.plugin",
}
