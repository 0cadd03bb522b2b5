"""All tables of either toy service; toys have no history to be careful of."""

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what the service's metadata names."""
    context.config.attributes["metadata"].create_all(op.get_bind())
