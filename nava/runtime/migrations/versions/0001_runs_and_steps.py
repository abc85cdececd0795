"""Runs and steps."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("pipeline", sa.String(64), nullable=False),
        sa.Column("recipe", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", sa.String(40), nullable=False),
        sa.Column("ended_at", sa.String(40)),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON()),
    )
    op.create_table(
        "steps",
        sa.Column("run_id", sa.String(64), sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", sa.String(40)),
        sa.Column("ended_at", sa.String(40)),
        sa.Column("seconds", sa.Float()),
        sa.Column("peak_memory_mb", sa.Float()),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("depends_on", sa.JSON(), nullable=False),
        sa.Column("log_path", sa.Text()),
        sa.Column("handle", sa.JSON()),
        sa.Column("error", sa.JSON()),
    )


def downgrade() -> None:
    op.drop_table("steps")
    op.drop_table("runs")
