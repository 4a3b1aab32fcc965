"""`python -m authkit` is the command `authkit`."""

from __future__ import annotations

from authkit.cli import main

if __name__ == "__main__":
    main()
