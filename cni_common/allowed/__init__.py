# SPDX-License-Identifier: Apache-2.0
"""What lets forwarded packets of containers pass, wherever the host drops, and keeps
networks apart: nftables, iptables and firewalld.
"""
