# SPDX-License-Identifier: Apache-2.0
"""The agent of a node: what `cnipy net agent` does."""
