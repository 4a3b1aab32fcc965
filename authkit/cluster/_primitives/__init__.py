"""What the two colours do differently, by hand: waiting, spawning, locking.

`aio` and `threads` offer the same names; everything else is written once.
"""
