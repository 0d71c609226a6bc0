# SPDX-License-Identifier: Apache-2.0
"""ptp: a veth pair between container and host, and routes on both ends."""
