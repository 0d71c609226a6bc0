# SPDX-License-Identifier: Apache-2.0
"""The steps of a run; each has `SECTION` and `measure(bench)`."""
