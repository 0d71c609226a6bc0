# SPDX-License-Identifier: Apache-2.0
"""tuning: settings of the container's interface, and its kernel parameters."""
