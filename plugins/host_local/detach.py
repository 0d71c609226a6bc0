# SPDX-License-Identifier: Apache-2.0
"""DEL without a model of the configuration."""

from __future__ import annotations

from cni_common.leases.release import release

detach = release
