# SPDX-License-Identifier: Apache-2.0
"""How any call is run: from its environment and stdin to its one answer."""
