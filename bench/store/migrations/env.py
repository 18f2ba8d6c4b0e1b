"""Alembic's environment: runs on the connection that bench.store.migrate hands over."""

from __future__ import annotations

from alembic import context

from bench.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
# The caller has begun the transaction and ends it, so that all migrations of one
# upgrade stand or fall together.
context.run_migrations()
