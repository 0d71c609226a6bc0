# SPDX-License-Identifier: Apache-2.0
"""SHA-2 without hashlib, which would load OpenSSL for it."""

from __future__ import annotations

try:
    from _sha2 import (  # type: ignore[import-not-found] # no stub; Python 3.12 on
        sha256,
        sha512,
    )
except ImportError:
    from _sha256 import sha256  # type: ignore[import-not-found] # no stub; Python 3.11
    from _sha512 import sha512  # type: ignore[import-not-found] # no stub; Python 3.11


def sha256_hex(text: str) -> str:
    """Return the digest of a text in 64 hexadecimal digits."""
    return str(sha256(_bytes(text)).hexdigest())


def sha512_hex(text: str) -> str:
    """Return the digest of a text in 128 hexadecimal digits."""
    return str(sha512(_bytes(text)).hexdigest())


def _bytes(text: str) -> bytes:
    """Return a text, such as an environment variable, as it came."""
    return text.encode("utf-8", "surrogateescape")
