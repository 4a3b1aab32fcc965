"""The drills' clients for asyncio; the source of the generated sync twin."""
