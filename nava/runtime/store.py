"""The store: one SQLAlchemy database for runs, steps and the promotion ledger (SQLite here, Postgres there)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Float, ForeignKey, Integer, String, Text, create_engine, event, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 30


class Base(DeclarativeBase):
    """All tables of the store."""


class RunRow(Base):
    """One run of a pipeline."""

    __tablename__ = "runs"
    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    pipeline: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[str] = mapped_column(String(40))
    ended_at: Mapped[str | None] = mapped_column(String(40))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class StepRow(Base):
    """One step of a run, as it recorded itself."""

    __tablename__ = "steps"
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.run_id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    key: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[str | None] = mapped_column(String(40))
    ended_at: Mapped[str | None] = mapped_column(String(40))
    seconds: Mapped[float | None] = mapped_column(Float)
    peak_memory_mb: Mapped[float | None] = mapped_column(Float)
    cached: Mapped[bool] = mapped_column(Boolean, default=False)
    depends_on: Mapped[list[str]] = mapped_column(JSON)
    log_path: Mapped[str | None] = mapped_column(Text)
    handle: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)


def utc_now() -> str:
    """The time now as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _configure_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


class Store:
    """The database behind a run folder or a platform.

    Args:
        url: SQLAlchemy URL, e.g. `sqlite:////abs/runs/demo/store.db`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        sqlite = url.startswith("sqlite")
        arguments = {"timeout": BUSY_TIMEOUT_S} if sqlite else {}
        self.engine: Engine = create_engine(url, connect_args=arguments)
        if sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)

    def migrate(self) -> None:
        """Bring the schema to the newest version (alembic); creates the tables in a new database."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session in one transaction: committed at the end, rolled back on an exception."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def start_run(self, run_id: str, pipeline: str, recipe: str, parameters: dict[str, Any]) -> None:
        """Record a run as running; runs and steps that an earlier killed process left running become interrupted."""
        with self.session() as session:
            for table in (RunRow, StepRow):
                session.execute(update(table).where(table.state == "running").values(state="interrupted"))
            session.merge(
                RunRow(
                    run_id=run_id,
                    pipeline=pipeline,
                    recipe=recipe,
                    state="running",
                    started_at=utc_now(),
                    parameters=parameters,
                )
            )

    def end_run(self, run_id: str, state: str, error: dict[str, Any] | None = None) -> None:
        """Record a run's final state."""
        with self.session() as session:
            values = {"state": state, "error": error, "ended_at": utc_now()}
            session.execute(update(RunRow).where(RunRow.run_id == run_id).values(**values))

    def plan_steps(self, run_id: str, steps: dict[str, list[str]]) -> None:
        """Record the steps a run is going to take, in order, each with what it depends on."""
        with self.session() as session:
            for position, (name, depends_on) in enumerate(steps.items()):
                session.merge(
                    StepRow(
                        run_id=run_id,
                        name=name,
                        position=position,
                        state="pending",
                        cached=False,
                        depends_on=depends_on,
                    )
                )

    def unroll_step(self, run_id: str, name: str, iterations: list[str]) -> None:
        """Put the iterations of a planned step in its place, also where others depend on it; twice is as once."""
        with self.session() as session:
            planned = session.get(StepRow, (run_id, name))
            if planned is None:
                return
            for row in session.scalars(select(StepRow).where(StepRow.run_id == run_id)):
                row.depends_on = [
                    step for other in row.depends_on for step in (iterations if other == name else [other])
                ]
                if row.position > planned.position:
                    row.position += len(iterations) - 1
            for number, iteration in enumerate(iterations):
                session.merge(
                    StepRow(
                        run_id=run_id,
                        name=iteration,
                        position=planned.position + number,
                        state="pending",
                        cached=False,
                        depends_on=planned.depends_on,
                    )
                )
            session.delete(planned)

    def update_step(self, run_id: str, name: str, **values: Any) -> None:
        """Change a step's record; a step that was not planned (a run started elsewhere) is added."""
        with self.session() as session:
            row = session.get(StepRow, (run_id, name))
            if row is None:
                row = StepRow(run_id=run_id, name=name, position=1000, state="pending", cached=False, depends_on=[])
                session.add(row)
            for field, value in values.items():
                setattr(row, field, value)

    def end_running_steps(self, run_id: str, state: str, error: dict[str, Any]) -> None:
        """Record the end of steps that could not do so themselves: whatever of a run is still `running`."""
        with self.session() as session:
            query = select(StepRow).where(StepRow.run_id == run_id, StepRow.state == "running")
            for row in session.scalars(query):
                row.state, row.error, row.ended_at = state, error, utc_now()

    def run(self, run_id: str) -> RunRow | None:
        """A run's record, or None."""
        with self.session() as session:
            return session.get(RunRow, run_id)

    def steps(self, run_id: str) -> list[StepRow]:
        """A run's steps in order."""
        with self.session() as session:
            query = select(StepRow).where(StepRow.run_id == run_id).order_by(StepRow.position, StepRow.started_at)
            return list(session.scalars(query))
