"""Parts of a recording that share neither EEG nor volumes."""

from __future__ import annotations

from dataclasses import replace

from eeg2fmri.store.store import StoredRecording
from eeg2fmri.store.windows import Windows


def divided(recording: StoredRecording, first: int, context: int) -> tuple[Windows | None, Windows | None]:
    """Return windows of the first volumes and of the rest, with a gap of `context` volumes between them.

    A window of the rest has a whole context after the gap. So its volume follows the last one of the first part by more
    than two contexts.

    Parameters
    ----------
    recording : the whole of it, perhaps with gaps in its EEG.
    first : volumes of the first part.
    context : windows before a volume.

    Returns
    -------
    The parts; ``None`` for one without an instance.
    """
    whole, (start, total) = recording.stretches(context), recording.part or (0, len(recording.volumes))
    edges = ((start, start + min(first, total)), (start + first + context, start + total))
    found = []
    for low, high in edges:
        pieces = []
        for stretch in whole:
            offset, count = stretch.part or (start, total)
            begin, end = max(low, offset), min(high, offset + count)
            if end - begin > context:
                pieces.append(replace(recording, part=(begin, end - begin)))
        found.append(Windows(pieces, context) if pieces else None)
    return found[0], found[1]
