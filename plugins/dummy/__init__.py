# SPDX-License-Identifier: Apache-2.0
"""dummy: a link that leads nowhere, to hold addresses."""
