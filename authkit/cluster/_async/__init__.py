"""The pool manager for asyncio; the source of the generated sync twin."""
