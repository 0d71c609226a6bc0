# SPDX-License-Identifier: Apache-2.0
"""The documents of the CNI specification as values."""
