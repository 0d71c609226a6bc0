# SPDX-License-Identifier: Apache-2.0
"""firewall: what containers forward is let through, and kept apart where asked."""
