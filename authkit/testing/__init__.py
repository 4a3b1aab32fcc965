"""For tests of applications as well as of authkit: a real primary and replica.

Load the fixtures with `pytest_plugins = ["authkit.testing.plugin"]`. `race` and
`race_async` let many callers set out at once.
"""

from authkit.testing.race import race, race_async

__all__ = ["race", "race_async"]
