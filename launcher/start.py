# SPDX-License-Identifier: Apache-2.0
"""First file of an extracted tree, with the packed file's path as first argument.

The interpreter compiles it anew at every start, so it holds no more than it must.
"""

import sys

sys.path.append(__file__[: -len("start.py")] + "site-packages")

from launcher.entry import run

run(sys.argv[1:])
