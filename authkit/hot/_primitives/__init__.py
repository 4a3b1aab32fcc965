"""What the two colours gather calls with, by hand: futures, or a leading thread.

`aio` and `threads` offer the same names; everything else is written once.
"""
