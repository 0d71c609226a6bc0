# SPDX-License-Identifier: Apache-2.0
"""vlan: a VLAN of a link of the host."""
