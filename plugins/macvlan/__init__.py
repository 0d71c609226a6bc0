# SPDX-License-Identifier: Apache-2.0
"""macvlan: a link with a MAC of its own on a link of the host."""
