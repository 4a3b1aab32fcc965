"""Failover drills: real servers are hurt while clients work, every write is checked.

`run.drill` plays one on an embedded lab; `servers.Servers` is what another engine has
to offer to be drilled.
"""
