# SPDX-License-Identifier: Apache-2.0
"""`cnipy doctor`: ways in which nodes break, each with cause and cure."""
