# SPDX-License-Identifier: Apache-2.0
"""What a node's calls have of the warm server, in words."""

from __future__ import annotations

import pytest

from cnipy.node import in_words
from cnipy.suite import Warm

OWN, OTHER = "0" * 32, "f" * 32


COLD = "takes no call at /s, calls start cold; docs/warm.md says whom it serves"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Warm("/s", listening=False, serves=False, builds=()),
            "nobody listens at /s, calls start cold",
        ),
        (
            Warm("/s", listening=True, serves=True, builds=(OWN,)),
            f"serves build {OWN}",
        ),
        (
            Warm("/s", listening=True, serves=False, builds=(OTHER,)),
            f"serves build {OTHER} only, calls start cold; restart it",
        ),
        # It looks at its caller, and sees a filter or another namespace.
        (Warm("/s", listening=True, serves=False, builds=(OWN,)), COLD),
        (Warm("/s", listening=True, serves=False, builds=()), COLD),
    ],
)
def test_server_is_told(found: Warm, said: str) -> None:
    """What is to be done is said with it, where calls are cold though one listens."""
    assert in_words(found, OWN) == f"warm server: {said}"
