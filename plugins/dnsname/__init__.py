# SPDX-License-Identifier: Apache-2.0
"""dnsname: containers of a network find each other by name."""
