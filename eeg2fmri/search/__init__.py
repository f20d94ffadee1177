"""Search: the exact space of architectures."""

from eeg2fmri.search.architectures import AxisSpace, block_parameters, count, suggest_blocks

__all__ = ["AxisSpace", "block_parameters", "count", "suggest_blocks"]
