# SPDX-License-Identifier: Apache-2.0
"""Where things are unless the environment or an option says otherwise."""

from __future__ import annotations

CACHE_DIRECTORY = "/var/lib/cni"
CONF_DIRECTORY = "/etc/cni/net.d"
PLUGIN_DIRECTORY = "/opt/cni/bin"
SHARE_DIRECTORY = "/usr/local/share"
UNIT_DIRECTORY = "/etc/systemd/system"
