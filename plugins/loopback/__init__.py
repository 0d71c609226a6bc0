# SPDX-License-Identifier: Apache-2.0
"""loopback: the container's `lo` is up."""
