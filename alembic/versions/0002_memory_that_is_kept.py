"""Memory that is kept: hibernation, snapshots, forks"""

import sqlalchemy as sa
from alembic import op

import lebureau_app.models.base

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

MOMENT = lebureau_app.models.base.UtcDateTime(timezone=True)
NO_STORAGE = '{"disk": 0, "memory": 0, "snapshots": 0}'


def text(name: str, default: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False, server_default=default)


def upgrade() -> None:
    op.add_column(
        'workspace',
        sa.Column('hibernate_after', sa.Integer(), nullable=False, server_default='3600'),
    )
    op.add_column('conversation', text('session', ''))
    for column in (
        text('identified', ''),
        text('origin', 'boot'),
        text('origin_note', ''),
        text('born_of', ''),
        sa.Column('hibernate_after', sa.Integer(), nullable=True),
        sa.Column('idle_after', sa.Integer(), nullable=False, server_default='3600'),
        sa.Column('working', sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column('awake_until', MOMENT, nullable=True),
        sa.Column('parent_id', sa.String(), nullable=True),
        sa.Column('storage', sa.JSON(), nullable=False, server_default=NO_STORAGE),
    ):
        op.add_column('desktop', column)
    op.create_index('ix_desktop_parent_id', 'desktop', ['parent_id'], unique=False)
    op.create_table(
        'snapshot',
        sa.Column('id', sa.String(), nullable=False),
        sa.Column('workspace_id', sa.String(), nullable=False),
        sa.Column('desktop_id', sa.String(), nullable=False),
        sa.Column('name', sa.String(length=100), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('status', sa.String(), nullable=False),
        sa.Column('memory', sa.Boolean(), nullable=False),
        sa.Column('size', sa.BigInteger(), nullable=False),
        sa.Column('tier', sa.String(), nullable=False),
        sa.Column('vcpus', sa.Integer(), nullable=False),
        sa.Column('memory_size', sa.BigInteger(), nullable=False),
        sa.Column('disk_size', sa.BigInteger(), nullable=False),
        sa.Column('image', sa.String(), nullable=False),
        sa.Column('pictured', sa.Boolean(), nullable=False),
        sa.Column('note', sa.String(), nullable=False),
        sa.Column('created_by', sa.String(), nullable=False),
        sa.Column('created_at', MOMENT, nullable=False),
        sa.ForeignKeyConstraint(['workspace_id'], ['workspace.id']),
        sa.ForeignKeyConstraint(['desktop_id'], ['desktop.id']),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('ix_snapshot_workspace_id', 'snapshot', ['workspace_id'], unique=False)
    op.create_index('ix_snapshot_desktop_id', 'snapshot', ['desktop_id'], unique=False)
    op.create_table(
        'picture',
        sa.Column('owner_id', sa.String(), nullable=False),
        sa.Column('png', sa.LargeBinary(), nullable=False),
        sa.Column('taken_at', MOMENT, nullable=False),
        sa.PrimaryKeyConstraint('owner_id'),
    )


def downgrade() -> None:
    op.drop_table('picture')
    op.drop_table('snapshot')
    op.drop_index('ix_desktop_parent_id', 'desktop')
    for column in (
        'storage',
        'parent_id',
        'awake_until',
        'working',
        'idle_after',
        'hibernate_after',
        'born_of',
        'origin_note',
        'origin',
        'identified',
    ):
        op.drop_column('desktop', column)
    op.drop_column('conversation', 'session')
    op.drop_column('workspace', 'hibernate_after')
