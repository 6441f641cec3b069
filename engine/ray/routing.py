"""Which replica gets a job: Serve asks this class, in the process of the server in front."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ray.serve.request_router import RequestRouter


class LeastBusy(RequestRouter):  # type: ignore[misc]
    """The replica with the fewest calls of this server; of equal ones each in its turn.

    Choices count as soon as they are made, so jobs that come at once are spread evenly. Serve's own
    router counts what was sent: of fourteen jobs at once one of two replicas got thirteen.
    """

    def initialize_state(self, **_: Any) -> None:
        """Serve's constructor, so to say."""
        self._calls: Counter[Any] = Counter()  # that were sent and have not ended
        self._chosen: Counter[Any] = Counter()  # that will be sent
        self._turns: dict[Any, int] = {}
        self._turn = 0

    def on_send_request(self, replica_id: Any) -> None:
        """A call goes out, to a replica that was chosen or to all of them.

        The latter take back what was chosen for a job that was cancelled before it was sent.
        """
        super().on_send_request(replica_id)
        self._chosen[replica_id] = max(0, self._chosen[replica_id] - 1)
        self._calls[replica_id] += 1

    def on_request_completed(self, replica_id: Any, internal_request_id: str) -> None:
        """A call has ended, however that was."""
        super().on_request_completed(replica_id, internal_request_id)
        self._calls[replica_id] = max(0, self._calls[replica_id] - 1)

    async def choose_replicas(
        self, candidate_replicas: list[Any], pending_request: Any = None
    ) -> list[list[Any]]:
        """Replicas by rank; the first rank alone is asked."""
        if not candidate_replicas:
            return []
        chosen = min((replica.replica_id for replica in candidate_replicas), key=self._rank)
        self._chosen[chosen] += 1
        self._turn += 1
        self._turns[chosen] = self._turn
        return [[replica for replica in candidate_replicas if replica.replica_id == chosen]]

    def _rank(self, replica_id: Any) -> tuple[int, int]:
        calls = self._calls[replica_id] + self._chosen[replica_id]
        return calls, self._turns.get(replica_id, 0)
