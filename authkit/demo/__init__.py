"""The guided tour behind `authkit demo`: a real cluster, real load, a real failover."""
