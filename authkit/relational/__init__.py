"""The relational layer: users, roles, audit, on the same connections as the rest."""
