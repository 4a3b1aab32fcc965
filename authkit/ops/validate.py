"""Compare a live database with what the code says, object by object.

Tables, columns, indexes and keys are compared by alembic; what it does not look at
(checks, triggers, functions, views, partitioning, privileges) is compared here. Reading
needs no right beyond a login: everything comes from the system catalogues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection

from authkit.ops.catalogue import rows
from authkit.ops.comparing import context_options, names_to_compare
from authkit.ops.findings import Finding, fault, good, note
from authkit.ops.migrate import migrations_dir, version
from authkit.ops.privileges import differences_of_privileges
from authkit.schema import SCHEMA, metadata
from authkit.schema.objects import FUNCTIONS, PARTITIONED, TRIGGERS, VIEWS
from authkit.schema.roles import ROLES

_RESTORE = "find out who changed it; a revision, or the statement of ours, mends it"

Checker = Callable[[Connection], Iterable[Finding]]


def validate(connection: Connection) -> tuple[Finding, ...]:
    """Return every difference between the database and the code, or that none is."""
    state = version(connection)
    if state.current is None:
        return (
            fault(
                SCHEMA,
                "not_migrated",
                "the database has no authkit schema",
                "authkit db setup",
            ),
        )
    found: list[Finding] = []
    if not state.is_head:
        found.append(
            fault(
                SCHEMA,
                "not_newest",
                f"the database is at {state.current}, the code at {state.head}",
                "authkit db migrate",
            )
        )
    for checker in CHECKERS:
        found.extend(checker(connection))
    if not found:
        found.append(
            good(
                SCHEMA,
                "as_declared",
                f"revision {state.head}: {len(metadata.tables)} tables,"
                f" {len(TRIGGERS)} triggers, {len(FUNCTIONS)} functions,"
                f" {len(VIEWS)} views and the privileges of {len(ROLES)} roles"
                " are as the code declares them",
            )
        )
    return tuple(found)


def differences_of_tables(connection: Connection) -> Iterable[Finding]:
    """Compare tables, columns, comments, indexes and keys as autogenerate does."""
    context = MigrationContext.configure(
        connection,
        opts={**context_options(), "include_name": names_to_compare(connection)},
    )
    for difference in _flat(compare_metadata(context, metadata)):
        what = difference[0].replace("_", " ")
        yield fault(
            _object_of(difference),
            difference[0],
            f"differs from the code: {what} would make them equal",
            _RESTORE,
        )


def differences_of_checks(connection: Connection) -> Iterable[Finding]:
    """Compare the CHECK constraints by name, and that each is enforced."""
    live = {
        (row.relname, row.conname): row.convalidated
        for row in rows(
            connection,
            "SELECT c.relname, k.conname, k.convalidated"
            " FROM pg_catalog.pg_constraint AS k"
            " JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = :schema AND k.contype = 'c' AND NOT c.relispartition",
        )
    }
    declared = {
        (table.name, str(constraint.name))
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    for table, name in sorted(declared - live.keys()):
        yield fault(table, "missing_check", f"lacks the check {name}", _RESTORE)
    for table, name in sorted(live.keys() - declared):
        yield note(table, "unknown_check", f"has a check that is not ours: {name}")
    for (table, name), validated in sorted(live.items()):
        if not validated and (table, name) in declared:
            yield fault(
                table,
                "unvalidated_check",
                f"never validated its check {name}",
                f"ALTER TABLE {SCHEMA}.{table} VALIDATE CONSTRAINT {name}",
            )


def differences_of_triggers(connection: Connection) -> Iterable[Finding]:
    """Look for every trigger, and that none was switched off."""
    live = {
        (row.relname, row.tgname): row.tgenabled
        for row in rows(
            connection,
            "SELECT c.relname, t.tgname, t.tgenabled"
            " FROM pg_catalog.pg_trigger AS t"
            " JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = :schema AND NOT t.tgisinternal",
        )
    }
    for table, name in sorted(TRIGGERS):
        if (table, name) not in live:
            yield fault(table, "missing_trigger", f"lacks the trigger {name}", _RESTORE)
    # Partitions have triggers of the same names, and each can be switched off alone.
    known = {name for _, name in TRIGGERS}
    for (table, name), enabled in sorted(live.items()):
        if name in known and enabled == "D":
            yield fault(
                table,
                "disabled_trigger",
                f"has its trigger {name} switched off",
                f"ALTER TABLE {SCHEMA}.{table} ENABLE TRIGGER {name}",
            )


def differences_of_functions(connection: Connection) -> Iterable[Finding]:
    """Look for every function: its body, whose rights it has, its search path."""
    ours = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((migrations_dir() / "sql").glob("*.sql"))
    )
    live = {
        row.proname: row
        for row in rows(
            connection,
            "SELECT p.proname, p.prosecdef, p.prosrc,"
            " coalesce(array_to_string(p.proconfig, ' '), '') AS options"
            " FROM pg_catalog.pg_proc AS p"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
            " WHERE n.nspname = :schema",
        )
    }
    for name, definer in sorted(FUNCTIONS.items()):
        function = live.get(name)
        where = f"{name}()"
        if function is None:
            yield fault(where, "missing_function", "is missing", _RESTORE)
        elif function.prosecdef != definer:
            wrong = "lacks" if definer else "has"
            yield fault(
                where, "wrong_security", f"{wrong} its owner's rights", _RESTORE
            )
        elif definer and "search_path=pg_catalog, pg_temp" not in function.options:
            yield fault(
                where,
                "open_search_path",
                "runs with its owner's rights and an open search path",
                _RESTORE,
            )
        elif function.prosrc and function.prosrc not in ours:
            yield fault(
                where,
                "wrong_body",
                "is not what any migration made it",
                _RESTORE,
            )


def differences_of_views(connection: Connection) -> Iterable[Finding]:
    """Look for the masked views, and that each is a security barrier."""
    live = {
        row.relname: row.barrier
        for row in rows(
            connection,
            "SELECT c.relname,"
            " coalesce('security_barrier=true' = ANY (c.reloptions), false) AS barrier"
            " FROM pg_catalog.pg_class AS c"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = :schema AND c.relkind = 'v'",
        )
    }
    for name in sorted(VIEWS):
        if name not in live:
            yield fault(name, "missing_view", "the masked view is missing", _RESTORE)
        elif not live[name]:
            yield fault(
                name,
                "open_view",
                "is no security barrier: a cheap function could read what it hides",
                f"ALTER VIEW {SCHEMA}.{name} SET (security_barrier)",
            )


def differences_of_partitioning(connection: Connection) -> Iterable[Finding]:
    """Look that the growing tables are partitioned and have a default partition."""
    live = {
        row.relname: row.has_default
        for row in rows(
            connection,
            "SELECT c.relname, p.partdefid <> 0 AS has_default"
            " FROM pg_catalog.pg_partitioned_table AS p"
            " JOIN pg_catalog.pg_class AS c ON c.oid = p.partrelid"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = :schema",
        )
    }
    for name in sorted(PARTITIONED):
        if name not in live:
            yield fault(name, "not_partitioned", "is not partitioned", _RESTORE)
        elif not live[name]:
            yield fault(
                name,
                "no_default_partition",
                "has no default partition: an insert fails where none was made",
                f"CREATE TABLE {SCHEMA}.{name}_default"
                f" PARTITION OF {SCHEMA}.{name} DEFAULT",
            )


CHECKERS: tuple[Checker, ...] = (
    differences_of_tables,
    differences_of_checks,
    differences_of_triggers,
    differences_of_functions,
    differences_of_views,
    differences_of_partitioning,
    differences_of_privileges,
)


def _flat(differences: Iterable[Any]) -> Iterable[tuple[Any, ...]]:
    """Alembic nests the changes of one column in a list of their own."""
    for difference in differences:
        if isinstance(difference, list):
            yield from _flat(difference)  # pyright: ignore[reportUnknownArgumentType] # alembic types it as Any
        else:
            yield difference


def _object_of(difference: tuple[Any, ...]) -> str:
    """Name what a difference is about: a table, a column, an index or a key."""
    for part in difference[1:]:
        table = getattr(part, "table", None)
        name = getattr(part, "name", None)
        if table is not None and name is not None:
            return f"{table.name}.{name}"
        if name is not None and not isinstance(part, str):
            return str(name)
    names = [str(p) for p in difference[1:4] if isinstance(p, str) and p != SCHEMA]
    return ".".join(names) or SCHEMA
