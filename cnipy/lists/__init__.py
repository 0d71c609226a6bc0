# SPDX-License-Identifier: Apache-2.0
"""`cnipy network`: the lists of the node, written and removed by the command."""
