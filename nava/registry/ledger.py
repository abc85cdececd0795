"""The promotion ledger in the store: a table that is only ever appended to."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Integer, String, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from nava.artifacts.promotion_ledger import GENESIS, LedgerEntry, write_ledger
from nava.config.registry import RegistryConfig
from nava.runtime.errors import NavaError
from nava.runtime.store import Base, Store

EXPORT_FILE = "promotion_ledger.json"


class PromotionConflict(NavaError):  # noqa: N818 - an outcome, worded for the user
    """The champion is not the one that the decision was about; nothing was moved."""


class LedgerRow(Base):
    """One entry; the number in the chain is the key, so that two writers cannot both append the same one."""

    __tablename__ = "promotion_ledger"
    model: Mapped[str] = mapped_column(String(128), primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    request: Mapped[str] = mapped_column(String(64))
    to_version: Mapped[int] = mapped_column(Integer)
    entry: Mapped[dict[str, Any]] = mapped_column(JSON)


class Ledger:
    """The ledger of one registered model.

    Args:
        config: names the model and, if it is not the run's own, the store.
        run_dir: root of the run; holds the embedded store and the export.
    """

    def __init__(self, config: RegistryConfig, run_dir: Path) -> None:
        self.model, self.run_dir = config.model_name, run_dir
        self.store = Store(config.store_url or f"sqlite:///{run_dir.resolve() / 'store.db'}")
        self.store.migrate()

    def entries(self) -> list[LedgerEntry]:
        """All entries in order."""
        with self.store.session() as session:
            return self._entries(session)

    def find(self, request: str) -> LedgerEntry | None:
        """The entry that a request led to, or None."""
        return next((entry for entry in self.entries() if entry.request == request), None)

    def append(self, write: Callable[[LedgerEntry | None], LedgerEntry]) -> LedgerEntry:
        """Append what `write` makes of the last entry (None in an empty ledger), in one transaction.

        Raises:
            PromotionConflict: somebody else appended meanwhile.
        """
        try:
            with self.store.session() as session:
                entries = self._entries(session)
                entry = write(entries[-1] if entries else None)
                session.add(
                    LedgerRow(
                        model=self.model,
                        sequence=entry.sequence,
                        request=entry.request,
                        to_version=entry.to_version,
                        entry=asdict(entry),
                    )
                )
        except IntegrityError as error:
            raise PromotionConflict(
                f"the champion of {self.model} was changed by somebody else just now, nothing was moved: try again"
            ) from error
        self.export()
        return entry

    def export(self) -> Path:
        """Write the whole ledger as JSON into the run's folder; return the file."""
        path = self.run_dir / EXPORT_FILE
        write_ledger(path, self.entries())
        return path

    def _entries(self, session: Session) -> list[LedgerEntry]:
        query = select(LedgerRow).where(LedgerRow.model == self.model).order_by(LedgerRow.sequence)
        return [LedgerEntry(**row.entry) for row in session.scalars(query)]


def next_position(last: LedgerEntry | None) -> tuple[int, str]:
    """Sequence number and `previous_hash` of the entry after `last`."""
    return (last.sequence + 1, last.entry_hash) if last else (1, GENESIS)
