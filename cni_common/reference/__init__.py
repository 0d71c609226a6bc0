# SPDX-License-Identifier: Apache-2.0
"""What the Go reference plugins left for an attachment, and its removal.

A node may change its plugins with containers running: DEL of an attachment that has
no record of ours asks here. Where the reference never was, this costs a few questions
to the kernel, and no process is started. See docs/switching.md.
"""
