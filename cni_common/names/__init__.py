# SPDX-License-Identifier: Apache-2.0
"""A network's dnsmasq: its configuration, its process, what it serves and answers."""
