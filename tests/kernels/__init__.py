# SPDX-License-Identifier: Apache-2.0
"""Tests on Debian's own kernels: a virtual machine on this machine's files."""
