# SPDX-License-Identifier: Apache-2.0
"""tap: an Ethernet link whose other end is a process in the container."""
