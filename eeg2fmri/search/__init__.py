"""Search: how architectures are drawn."""

from eeg2fmri.search.architectures import block_parameters, suggest_blocks

__all__ = ["block_parameters", "suggest_blocks"]
