"""The progress bar of a terminal."""

from __future__ import annotations

import io
import sys
from argparse import Namespace

from eeg2fmri.cli import command
from eeg2fmri.progress import progress_display


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_of_the_log_stands_above_the_bar(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    for name in ("handlers", "propagate", "level"):
        monkeypatch.setattr(command.logger, name, [] if name == "handlers" else getattr(command.logger, name))
    command._set_up_logging(Namespace(verbose=True, quiet=False))
    with progress_display(visible=True) as display:
        display.add_task("search", total=2, status="best in trial 3")
        display.refresh()
        command.logger.info("trial 4 has ended")
        display.refresh()
    before, line, after = shown.getvalue().partition("trial 4 has ended")
    assert line
    assert "best in trial 3" in before
    assert "best in trial 3" not in before.rpartition("\x1b[2K")[2]  # the bar is erased first
    assert "best in trial 3" in after
