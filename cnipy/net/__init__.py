# SPDX-License-Identifier: Apache-2.0
"""Networks of many nodes: what they share in a store, and what a node makes of it."""
