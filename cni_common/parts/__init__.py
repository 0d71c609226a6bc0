# SPDX-License-Identifier: Apache-2.0
"""What attachments consist of: one thing a module, which has the thing's name.

A module defines one subclass of `attachment.part.Part`. A record names the module.
"""
