# SPDX-License-Identifier: Apache-2.0
"""ipvlan: a link with addresses of its own, and the MAC of a link of the host."""
