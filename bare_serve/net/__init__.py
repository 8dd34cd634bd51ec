"""Addresses: listening sockets, the networks that are trusted, and the PROXY protocol."""
