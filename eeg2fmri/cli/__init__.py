"""The command ``eeg2fmri``."""

from eeg2fmri.cli.command import main

__all__ = ["main"]
