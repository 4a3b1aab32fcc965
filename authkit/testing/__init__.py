"""For tests of applications as well as of authkit: a real primary and replica.

Load the fixtures with `pytest_plugins = ["authkit.testing.plugin"]`.
"""
