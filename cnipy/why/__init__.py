# SPDX-License-Identifier: Apache-2.0
"""`cnipy why`: does a packet get through, and if not, where does it end, and why?"""
