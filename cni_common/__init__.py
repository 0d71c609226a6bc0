# SPDX-License-Identifier: Apache-2.0
"""How any plugin's story is run: protocol, delegation, rollback, records."""
