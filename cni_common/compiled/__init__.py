# SPDX-License-Identifier: Apache-2.0
"""What stands in for pydantic on a node: models from schemas written down at build.

In a packed file `names.py` is the module `pydantic`, and `schemas` holds what
launcher/schemas.py wrote. In the checkout models are pydantic's own, and only tests
use this package.
"""
