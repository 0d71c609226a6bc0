# SPDX-License-Identifier: Apache-2.0
"""One module per kernel interface; the only floor that knows netlink and nft."""
