"""Echoes of a BOLD run as one series of volumes."""

import nibabel
import numpy as np
import pytest

from eeg2fmri.datasets import Recording, load_bold, read_bold_header
from eeg2fmri.datasets.echoes import echo_weights, t2_star
from eeg2fmri.datasets.recording import Echo
from eeg2fmri.errors import DatasetError
from tests.datasets.trees import write_json

TIMES = np.array([0.012, 0.028, 0.044])
T2_STAR = np.linspace(0.02, 0.08, 5 * 4 * 3).reshape(5, 4, 3)


@pytest.fixture
def series():
    """(echoes, volumes, x, y, z) of a mono-exponential decay whose S0 differs from volume to volume."""
    gain = np.linspace(900, 1100, 7)[:, None, None, None]
    return gain * np.exp(-TIMES[:, None, None, None, None] / T2_STAR)


@pytest.fixture
def write(tmp_path, series):
    def make(times=TIMES, shorter=None):
        echoes = []
        for number, (volumes, time) in enumerate(zip(series, times, strict=True), 1):
            path, sidecar = tmp_path / f"echo-{number}_bold.nii.gz", tmp_path / f"echo-{number}_bold.json"
            kept = volumes[:-1] if number == shorter else volumes
            image = nibabel.Nifti1Image(np.moveaxis(kept, 0, -1).astype(np.float32), np.diag([2.0, 3, 4, 1]))
            image.header.set_zooms((2, 3, 4, 2.0))
            image.header.set_xyzt_units("mm", "sec")
            nibabel.save(image, path)
            write_json(sidecar, {"RepetitionTime": 2.0, **({} if time is None else {"EchoTime": time})})
            echoes.append(Echo(path, (sidecar,)))
        return Recording("sub-01", "sub-01", path, echoes[0].path, sidecars=echoes[0].sidecars, echoes=tuple(echoes))

    return make


def test_the_decay_is_found(series):
    np.testing.assert_allclose(t2_star(series.mean(axis=1), TIMES), T2_STAR, rtol=0.01)


def test_the_combination_weighs_by_te_exp_te_over_t2_star(write, series):
    weights = TIMES[:, None, None, None] * np.exp(-TIMES[:, None, None, None] / T2_STAR)
    expected = (weights[:, None] * series).sum(axis=0) / weights.sum(axis=0)
    bold = load_bold(write())
    np.testing.assert_allclose(bold.volumes, expected, rtol=0.01)
    assert bold.tr == 2.0


def test_voxels_without_signal_or_decay_have_weights_that_sum_to_one():
    means = np.stack([np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), np.zeros((2, 2, 2))])
    means[:, 0] = np.array([1.0, 2.0, 3.0])[:, None, None]  # grows
    means[0, 1, 0] = 5.0  # is gone after the first echo
    found = echo_weights(t2_star(means, TIMES), TIMES)
    np.testing.assert_allclose(found.sum(axis=0), 1)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"times": (0.012, None, 0.044)}, r"echo-2_bold\.nii\.gz: no EchoTime in its sidecar, seconds between"),
        ({"times": (12, 28, 44)}, r"echo-1_bold\.nii\.gz: EchoTime 12 in its sidecar, seconds between"),
        ({"times": (0.012, 0.012, 0.044)}, r"echo-2_bold\.nii\.gz: its EchoTime 0\.012 s is that of another echo"),
        ({"shorter": 3}, r"echo-3_bold\.nii\.gz: its grid, volumes, TR or affine are not those of echo-1_bold"),
    ],
)
@pytest.mark.parametrize("read", [load_bold, read_bold_header])
def test_echoes_that_cannot_be_combined_are_refused(change, reason, read, write, refuses):
    with refuses(DatasetError, reason):
        read(write(**change))
