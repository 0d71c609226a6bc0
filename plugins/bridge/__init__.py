# SPDX-License-Identifier: Apache-2.0
"""bridge: a veth pair whose host end is a port of a bridge."""
