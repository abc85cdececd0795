"""The promotion ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "promotion_ledger",
        sa.Column("model", sa.String(128), primary_key=True),
        sa.Column("sequence", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("request", sa.String(64), nullable=False),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("entry", sa.JSON(), nullable=False),
        sa.UniqueConstraint("model", "request", name="uq_promotion_ledger_request"),
    )


def downgrade() -> None:
    op.drop_table("promotion_ledger")
