# SPDX-License-Identifier: Apache-2.0
"""Published ports: who holds them, and the table by which they lead to containers."""
