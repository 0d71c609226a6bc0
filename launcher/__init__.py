# SPDX-License-Identifier: Apache-2.0
"""From the first byte of a packed file to the plugin it stands for."""
