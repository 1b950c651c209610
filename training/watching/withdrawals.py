"""What a run knows of the documents that are withdrawn: the first rank looks at the lake now and then, and all ranks
take up at the same step what it has found."""

from __future__ import annotations

import time

import structlog
import torch.distributed as dist
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from schemas.plumbing.errors import UsageError
from schemas.tables.withdrawn import WITHDRAWN
from training.megatron.parallel import Mesh
from training.prepare import Job
from training.reading.pick_ups import PickUps, known_at, picked_up, record_pick_ups, recorded_pick_ups
from training.reading.withdrawn import Withdrawn, read_withdrawn

log = structlog.get_logger()

VOTE = "withdrawals"


class WithdrawalWatch:
    """The withdrawals that the batches of a run are read with. All ranks make the same calls in the same order."""

    def __init__(self, job: Job, mesh: Mesh, first_batch: int) -> None:
        self._lake, self._out, self._mesh, self._every = job.lake, job.out, mesh, job.config.data.withdrawals_seconds
        self._table: DeltaTable | None = None
        self._version = -1
        self._next_look = time.monotonic() + self._every
        self._newest = job.table.withdrawn
        self.pick_ups: PickUps = recorded_pick_ups(job.out, job.resume[1].state if job.resume else {})
        self.known = self._newest
        self.take_up(first_batch)

    def votes(self) -> dict[str, float]:
        """What this rank tells the others in the exchange of a step; the sum goes to `is_behind`."""
        if self._mesh.rank == 0 and self._every and time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + self._every
        return {VOTE: float(self._mesh.rank == 0 and self._newest.count > self.known.count)}

    def is_behind(self, votes: dict[str, float]) -> bool:
        """Whether there are withdrawals to be taken up; the same on every rank."""
        return votes[VOTE] > 0

    def take_up(self, batch: int) -> Withdrawn:
        """All that the first rank has found is known from a batch on, on every rank."""
        before = known_at(self.pick_ups, batch)
        found = [self._newest if self._mesh.rank == 0 else None]
        dist.broadcast_object_list(found, src=0)
        assert found[0] is not None
        self.known = self._newest = found[0]
        self.from_batch(batch)
        if self._mesh.rank == 0 and self.known.count > before:
            new = self.known.numbers >= before
            log.info(
                "withdrawn documents are left out from here on",
                batch=batch,
                withdrawals=self.known.count,
                documents=int(new.sum()),
                tokens=int(self.known.tokens[new].sum()),
            )
        return self.known

    def from_batch(self, batch: int) -> None:
        """What is known now is what the batches from this one on are read with."""
        self.pick_ups = picked_up(self.pick_ups, batch, self.known.count)
        if self._mesh.rank == 0:
            record_pick_ups(self._out, self.pick_ups)

    def to_json(self) -> dict[str, list[list[int]]]:
        """What a checkpoint keeps of it (`Commit.state`)."""
        return {"withdrawals": [list(one) for one in self.pick_ups]}

    def _look(self) -> None:
        """Delta's log tells whether there is anything new; only then is the table read. A lake that cannot be reached
        is asked again the next time."""
        try:
            uri = WITHDRAWN.uri(self._lake)
            if self._table is None:
                if not DeltaTable.is_deltatable(uri):
                    return
                self._table = DeltaTable(uri)
            else:
                self._table.update_incremental()
            if self._table.version() != self._version:
                self._newest = read_withdrawn(self._lake)
                self._version = self._table.version()
        except (OSError, DeltaError, UsageError) as error:
            log.warning("the lake's withdrawals could not be read", reason=" ".join(str(error).split()))
