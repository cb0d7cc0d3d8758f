"""What Alembic runs for the revisions of any application; `migrate` gives it its connection.

The connection is in a transaction already: everything below becomes part of that.
"""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,  # SQLite changes most things of a table by copying it
    transactional_ddl=True,
)
context.run_migrations()
