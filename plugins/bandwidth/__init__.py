# SPDX-License-Identifier: Apache-2.0
"""bandwidth: limits on what a container receives and sends."""
