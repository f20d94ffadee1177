"""``python -m eeg2fmri``."""

import sys

from eeg2fmri.cli import main

sys.exit(main())
