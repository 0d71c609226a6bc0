# SPDX-License-Identifier: Apache-2.0
"""The plugins side by side with the reference plugins and netavark."""
