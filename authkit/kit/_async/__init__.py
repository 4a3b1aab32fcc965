"""What connecting returns, for asyncio; the source of the generated sync twin."""
