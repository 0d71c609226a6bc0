# SPDX-License-Identifier: Apache-2.0
"""Which blocks of a network's pool this node holds, as agent and plugin share it."""
