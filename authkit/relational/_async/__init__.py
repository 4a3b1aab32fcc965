"""The unit of work for asyncio; the source of the generated sync twin."""
