# SPDX-License-Identifier: Apache-2.0
"""The heads of Go's net/rpc, and how a connection begins."""

from __future__ import annotations

from plugins.dhcp.gob import BYTES, TEXT, UINT, Struct

SOCKET = "/run/cni/dhcp.sock"
HELLO = b"CONNECT /_goRPC_ HTTP/1.0\r\n\r\n"
WELCOME = b"HTTP/1.0 200 Connected to Go RPC\n\n"
UNWELCOME = b"HTTP/1.0 405 must CONNECT\n\n"
HEAD_MAX = 4096  # bytes
CALL = Struct("Request", (("ServiceMethod", TEXT), ("Seq", UINT)))
ANSWER = Struct("Response", (("ServiceMethod", TEXT), ("Seq", UINT), ("Error", TEXT)))
ARGS = Struct(
    "CmdArgs",
    (
        ("ContainerID", TEXT),
        ("Netns", TEXT),
        ("IfName", TEXT),
        ("Args", TEXT),
        ("Path", TEXT),
        ("StdinData", BYTES),
    ),
)
NOTHING = Struct("", ())
ALLOCATE, RELEASE = "DHCP.Allocate", "DHCP.Release"
CHECK = "DHCP.Check"  # ours alone
