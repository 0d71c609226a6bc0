# SPDX-License-Identifier: Apache-2.0
"""How nodes of a network come to know each other, by their store: what is the protocol,
and not the kernel.
"""
