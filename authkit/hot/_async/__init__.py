"""Repositories of the hot path for asyncio; the source of the generated sync twin."""
