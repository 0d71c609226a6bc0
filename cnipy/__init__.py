# SPDX-License-Identifier: Apache-2.0
"""The operator's command: a small CNI runtime that works as libcni does."""
