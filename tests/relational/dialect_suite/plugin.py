"""Runs SQLAlchemy's dialect suite over engines that the cluster makes.

    AUTHKIT_ENGINES=cluster python -m pytest -p plugin suite.py --dburi URL

With `AUTHKIT_ENGINES=stock` the same over SQLAlchemy's own engines. Every engine that
the suite asks for is then one of the cluster's: over the node's pool, with its
connection class and its listeners, and with the options that the suite gave.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.engine import URL, make_url

from authkit.cluster import Cluster
from authkit.cluster._sync import engines
from authkit.settings import Settings

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403 # after the line above, as its documentation asks

stock = sqlalchemy.create_engine
clusters: dict[str, Cluster] = {}


def from_the_cluster(url: str | URL, **options: Any) -> sqlalchemy.Engine:
    """Return an engine of the cluster's, with the options that were asked for."""
    plain = make_url(url).set(drivername="postgresql")
    where = plain.render_as_string(hide_password=False)
    if where not in clusters:
        # Temporary tables belong to a connection, and the suite looks for them on the
        # next one that it is given: as long as one is enough there is no other.
        settings = Settings.load(env_file=None, database_url=where, database_pool_min=1)
        clusters[where] = Cluster(settings).open()
    cluster = clusters[where]
    # The pool is the cluster's; what else the suite asks for is handed on.
    own = {k: v for k, v in options.items() if not k.startswith("pool")}
    own = {k: v for k, v in own.items() if k not in {"scope", "creator"}}
    (writer,) = cluster._roster.nodes
    engines.create_engine = partial(stock, **own)
    try:
        engine = cluster._engines._make(cluster._roster.nodes[writer])
    finally:
        engines.create_engine = stock
    engine.url = make_url(url)
    return engine


if os.environ["AUTHKIT_ENGINES"] == "cluster":
    sqlalchemy.create_engine = from_the_cluster
