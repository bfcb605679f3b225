"""Alembic's environment: migrations run on the connection that `store.state` hands over."""

from alembic import context

from workbench.store.state import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
