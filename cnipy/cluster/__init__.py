# SPDX-License-Identifier: Apache-2.0
"""What `cnipy net` does beside the agent: networks of many nodes, by their store."""
