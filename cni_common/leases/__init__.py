# SPDX-License-Identifier: Apache-2.0
"""Addresses that this host gives: a directory of files in the format of the reference's
host-local, what may be given, and to whom it was.
"""
