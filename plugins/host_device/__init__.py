# SPDX-License-Identifier: Apache-2.0
"""host-device: a device of the host, lent to a container."""
