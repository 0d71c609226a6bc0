# SPDX-License-Identifier: Apache-2.0
"""An attachment as data: what it consists of, and the engine that goes by that."""
