# SPDX-License-Identifier: Apache-2.0
"""portmap: host ports that lead to the container."""
