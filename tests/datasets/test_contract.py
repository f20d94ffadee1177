"""Every layout of this package keeps the contract that `eeg2fmri.testing` ships, and so does one from outside."""

from __future__ import annotations

import sys

import pytest

from eeg2fmri.datasets.bids import Bids
from eeg2fmri.datasets.find import ADAPTERS
from eeg2fmri.testing import LayoutTests
from tests.datasets.trees import (
    NAMES,
    impulse,
    volume_markers,
    write_bold,
    write_cn_epfl,
    write_noddi,
    write_oddball,
    write_vhdr,
    write_xp1,
    write_xp2,
)


def write_pairs(root, eeg="sub-{0}/eeg/sub-{0}_task-rest_eeg.vhdr", bold="sub-{0}/func/sub-{0}_task-rest_bold.nii.gz"):
    """Two subjects with a pair, one with EEG alone and one with BOLD alone."""
    for subject in ("01", "02", "03"):
        write_vhdr(root / eeg.format(subject), impulse(250, 1.5), 250, NAMES, volume_markers(250, 1.5))
    for subject in ("01", "02", "04"):
        write_bold(root / bold.format(subject))


class TestBids(LayoutTests):
    layout = "bids"
    apart = ("sub-*/anat/*", "derivatives/*/sub-*/*/*")

    def write(self, root):
        write_pairs(root)
        write_bold(root / "sub-01/anat/sub-01_T1w.nii.gz")
        write_bold(root / "derivatives/fmriprep/sub-01/func/sub-01_task-rest_desc-preproc_bold.nii.gz")
        (root / "sub-01/eeg/sub-01_task-faces_eeg.cnt").touch()


class TestCnEpfl(LayoutTests):
    layout = "cn-epfl"
    apart = ("derivatives/*/sub-*/*/*/*",)

    def write(self, root):
        write_cn_epfl(root, runs=1)


class TestXp1(LayoutTests):
    layout = "xp1"
    apart = ("sub-*/eeg/*", "derivatives/sub-*/NF_bold/*")

    def write(self, root):
        here, not_here = True, False
        runs = {
            "MIpre": (here, here, here),
            "MIpost": (not_here, here, here),
            "eegNF": (here, here, not_here),
            "motorloc": (here, not_here, here),
        }
        write_xp1(root, runs=runs)


class TestXp2(LayoutTests):
    layout = "xp2"

    def write(self, root):
        write_xp2(root)


class TestNoddi(LayoutTests):
    layout = "noddi"
    apart = ("EEG*/*/raw/*", "fMRI/*/*_T1.nii.gz")

    def write(self, root):
        write_noddi(root)
        (root / "EEG1/32/export/32_eyes.cnt").touch()


class TestOddball(LayoutTests):
    layout = "oddball"
    apart = ("sub*/EEG/*/EEG_rereferenced.mat",)

    def write(self, root):
        write_oddball(root)
        (root / "sub001/EEG/task001_run001/EEG.cnt").touch()


def test_no_layout_is_left_out():
    tested = {tests.layout for tests in LayoutTests.__subclasses__()}
    assert ADAPTERS.keys() <= tested


# --- from outside ----------------------------------------------------------------------------

THEIRS = """
from eeg2fmri.datasets import Adapter, Source


class Theirs(Adapter):
    expected = "NAME/eeg.vhdr and NAME/bold.nii.gz"

    def eeg_files(self):
        for path in self.root.glob("*/eeg.vhdr"):
            yield Source(path, subject=path.parent.name)

    def bold_files(self):
        for path in self.root.glob("*/bold.nii.gz"):
            yield Source(path, subject=path.parent.name, details={"tr": 2.0})
"""


class TestOutside(LayoutTests):
    layout = "their_lab:Theirs"

    @pytest.fixture(scope="class", autouse=True)
    @staticmethod
    def module(tmp_path_factory):
        folder = tmp_path_factory.mktemp("code")
        (folder / "their_lab.py").write_text(THEIRS)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            yield
        sys.modules.pop("their_lab", None)

    def write(self, root):
        write_pairs(root, "{0}/eeg.vhdr", "{0}/bold.nii.gz")


# --- the contract itself ---------------------------------------------------------------------


class Forgets(Bids):
    """Passes over what does not pair."""

    def eeg_files(self):
        return [source for source in super().eeg_files() if source.subject != "03"]


class Writes(Bids):
    """Leaves a file behind."""

    def eeg_files(self):
        (self.root / "index.json").touch()
        return super().eeg_files()


class Shifts(Bids):
    """Takes the first sample of the EEG for the start of the scan."""

    def bold_details(self, path):
        return {**super().bold_details(path), "alignment": "file-start"}


class Mixes(Bids):
    """Takes whatever the disk gives first."""

    def bold_files(self):
        first, *_ = (path.name for path in self.root.iterdir())
        return [source for source in super().bold_files() if f"sub-{source.subject}" != first]


@pytest.mark.parametrize(
    ("layout", "test", "reason"),
    [
        (Forgets, LayoutTests.test_every_signal_is_paired_or_listed, r"neither paired nor listed: \['sub-03/eeg"),
        (Writes, LayoutTests.test_the_dataset_is_left_as_it_was, "index.json"),
        (
            Shifts,
            LayoutTests.test_what_was_loud_when_a_volume_was_bright_is_one_instance_of_the_store,
            "loud elsewhere",
        ),
        (Mixes, LayoutTests.test_order_does_not_hang_on_the_disk, "another order of the disk"),
    ],
)
def test_a_fault_is_found(layout, test, reason):
    class Tests(TestBids):
        pass

    Tests.layout = f"{__name__}:{layout.__name__}"
    with pytest.raises(AssertionError, match=reason):
        test(Tests())
