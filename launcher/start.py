# SPDX-License-Identifier: Apache-2.0
"""First file of an extracted tree, with the packed file's path as first argument.

A tree that has it is complete. The interpreter compiles it anew at every start, so it
holds no more than it must.
"""

import sys

tree = __file__[: -len("/start.py")]
sys.path.insert(0, tree + "/site-packages")

from launcher.first import run  # noqa: E402 - found by the line above

run(tree, sys.argv[1:])
