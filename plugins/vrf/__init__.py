# SPDX-License-Identifier: Apache-2.0
"""vrf: routes of an interface in a table of their own."""
