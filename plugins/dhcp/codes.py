# SPDX-License-Identifier: Apache-2.0
"""What options of DHCP are called (RFC 2132 and others), and how some are sent."""

from __future__ import annotations

RENEWAL, REBINDING = 58, 59
MASK, ROUTERS, SERVERS, HOST_NAME, DOMAIN, MTU, ROUTES = 1, 3, 6, 12, 15, 26, 33
NTP, VENDOR_CLASS, CLIENT_ID, USER_CLASS, FQDN, SEARCH, CLASSLESS = (
    42,
    60,
    61,
    77,
    81,
    119,
    121,
)
# The words of dhcp-options(5); the first six are the reference's.
CODES = {
    "dhcp-client-identifier": CLIENT_ID,
    "subnet-mask": MASK,
    "routers": ROUTERS,
    "host-name": HOST_NAME,
    "user-class": USER_CLASS,
    "vendor-class-identifier": VENDOR_CLASS,
    "domain-name-servers": SERVERS,
    "domain-name": DOMAIN,
    "domain-search": SEARCH,
    "interface-mtu": MTU,
    "static-routes": ROUTES,
    "classless-static-routes": CLASSLESS,
    "ntp-servers": NTP,
    "fqdn": FQDN,
}
# Of which a result has something, and by which a lease is kept.
DEFAULT = (
    MASK,
    CLASSLESS,
    ROUTERS,
    ROUTES,
    SERVERS,
    DOMAIN,
    SEARCH,
    MTU,
    NTP,
    RENEWAL,
    REBINDING,
)
_BY_THE_SERVER = bytes((0x05, 0, 0))  # S and E of RFC 4702: it names, in wire format


def code_of(word: object) -> int:
    """Return the code of an option by its name or number; raises ValueError."""
    code = CODES.get(str(word), 0)
    text = str(word)
    if not code and text.isdecimal() and len(text) <= 3:  # noqa: PLR2004 - 254
        code = int(text)
    if not 0 < code < 255:  # noqa: PLR2004 - 0 and 255 are no options
        raise ValueError(f"{word!r:.40} is no option of DHCP")
    return code


def given(code: int, text: str) -> bytes:
    """Return what is sent for an option that is written as a text."""
    content = text.encode("utf-8", "surrogateescape")
    return _BY_THE_SERVER + _wire(content) if code == FQDN else content


def _wire(name: bytes) -> bytes:
    labels = [label[:63] for label in name.split(b".") if label]
    end = b"\0" if b"." in name else b""  # a name of one label is not complete
    return b"".join(bytes((len(label),)) + label for label in labels) + end
