from __future__ import annotations

import authkit
from authkit.hot import NewSession


def test_smoke(kit):
    with kit.unit_of_work(actor="system:test", token=True) as uow:
        user = uow.users.create("Ann@Example.com", name="Ann")
        uow.roles.grant(user.id, "admin")
        new = uow.hot.sessions.create(user.id, ip="::ffff:192.0.2.1")
        assert isinstance(new, NewSession)
    assert uow.token is not None
    session = kit.sessions.validate(new.token)
    assert session.user_id == user.id
    with kit.unit_of_work(read_only=True) as uow:
        assert uow.roles.check(user.id, "user:read")
        assert uow.audit.verify().intact
        assert [e.action for e in uow.audit.trail()] == ["role.grant", "user.create"]
    assert kit.sessions.revoke(session.id).token
