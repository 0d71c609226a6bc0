# SPDX-License-Identifier: Apache-2.0
"""sbr: source based routing."""
