"""Clients that send what is cheap to send and dear to take, and one beside them that waits.

`attacks` is the table of what they send. `attacker` and `bystander` are programs of their own, so
that the one's CPU does not delay the other's clock: each says "ready" on standard output, begins
when a line comes on standard input, and prints what it found as JSON. All stays on loopback and
ends by itself after some seconds.
"""
