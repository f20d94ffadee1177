"""One NVIDIA card for each local process: others are hidden from it, on any library that computes there."""

from __future__ import annotations

import os
from pathlib import Path

from distributed import Worker, WorkerPlugin

CARDS = "CUDA_VISIBLE_DEVICES"


def visible_cards() -> list[str]:
    """Return the NVIDIA cards that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; none without a driver.

    CUDA itself is not asked, because it reads the variable only once.
    """
    named = os.environ.get(CARDS)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return sorted((path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")), key=int)


class OneCard(WorkerPlugin):
    """Show each process of a local cluster one card, before it computes; the processes share the cards in turn.

    Parameters
    ----------
    cards : see `visible_cards`, at least one.
    workers : processes of the cluster.
    """

    def __init__(self, cards: list[str], workers: int) -> None:
        self.cards, self.shared = cards, workers > len(cards)

    def setup(self, worker: Worker) -> None:
        """Set the variables of a process that starts, or starts again after its death."""
        os.environ[CARDS] = self.cards[int(worker.name) % len(self.cards)]
        if self.shared:  # otherwise JAX takes most of a card at once
            os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
