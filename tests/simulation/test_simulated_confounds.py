import json
import shutil
import subprocess
import sysconfig

import nibabel as nib
import numpy as np
import pytest

from eeg2fmri.config import DatasetConfig, SimulationConfig
from eeg2fmri.datasets import find_recordings
from eeg2fmri.errors import ConfigError
from eeg2fmri.simulation import read_best_r2, simulate
from eeg2fmri.simulation.confounds import BLOCK_S, MOTION, RADIUS_MM, framewise_displacement
from eeg2fmri.simulation.subject import draw_subject

CONFIG = SimulationConfig(
    subjects=1, volumes=90, grid=(9, 8, 7), channels=21, sampling_rate=100.0, coupling=0.0, seed=12
)
KINDS = ("pulse", "motion", "task")


def with_confound(kind):
    return CONFIG.model_copy(update={"confound": kind})


@pytest.fixture(scope="module")
def subjects():
    return {kind: draw_subject(with_confound(kind), 0) for kind in KINDS}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("confounded")
    return {kind: simulate(with_confound(kind), folder / kind) for kind in KINDS}


def table(path):
    return np.genfromtxt(path, names=True, delimiter="\t", dtype=None, encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_bold_differs_from_the_unconfounded_by_the_planted_course(subjects, kind):
    plain, subject = draw_subject(CONFIG, 0), subjects[kind]
    inside, confound = subject.anatomy.mask, subject.confound
    change = (subject.volumes[inside].astype(float) - plain.volumes[inside]).T
    expected = np.outer(confound.course, (confound.map * subject.anatomy.baseline / 100)[inside])
    assert confound.course.std() == pytest.approx(1)
    np.testing.assert_allclose(change, expected, atol=2)  # int16, and noise that is combined in quadrature
    assert np.abs(expected).max() > 5
    np.testing.assert_array_equal(plain.networks.driven, 0)


def test_the_pulse_is_stronger_in_the_ecg_and_the_eeg_at_the_same_time(subjects):
    subject, plain = subjects["pulse"], draw_subject(CONFIG, 0)
    heart, rate = subject.confound.heart, CONFIG.sampling_rate
    peaks = np.rint(subject.beats * rate).astype(int)
    peaks = peaks[(peaks > 50) & (peaks < len(heart) - 100)]
    height = np.array([np.ptp(subject.eeg_uv[-1, p - 5 : p + 6]) for p in peaks])
    assert np.corrcoef(height, heart[peaks])[0, 1] > 0.95
    added = subject.eeg_uv[:-1] - plain.eeg_uv[:-1]
    size = np.array([added[:, p : p + 60].std() for p in peaks])
    assert np.corrcoef(size, heart[peaks])[0, 1] > 0.9


def test_motion_is_in_the_eeg_while_the_head_is_away(subjects):
    subject, plain = subjects["motion"], draw_subject(CONFIG, 0)
    added = subject.eeg_uv[:-1] - plain.eeg_uv[:-1]
    first, spacing = subject.onsets[0], round(CONFIG.tr * CONFIG.sampling_rate)
    size = np.array([added[:, first + v * spacing : first + (v + 1) * spacing].std() for v in range(CONFIG.volumes)])
    away = subject.confound.motion[:, MOTION.index("trans_z")]
    assert np.corrcoef(size, away)[0, 1] > 0.7
    np.testing.assert_array_equal(subject.eeg_uv[-1], plain.eeg_uv[-1])


def test_framewise_displacement_counts_rotations_on_a_sphere():
    motion = np.zeros((3, 6))
    motion[1] = (0.1, 0, -0.2, 0, 0.004, 0)
    np.testing.assert_allclose(framewise_displacement(motion), [0.3 + 0.004 * RADIUS_MM] * 2)


def test_the_motion_lies_where_fmriprep_writes_it(datasets, subjects):
    recording = find_recordings(datasets["motion"], DatasetConfig(bold="fmriprep"))[0][0]
    assert recording.confounds_path is not None
    rows = table(recording.confounds_path)
    assert rows["framewise_displacement"][0] in ("n/a", b"n/a")
    written = np.stack([rows[name] for name in MOTION], axis=1)
    np.testing.assert_allclose(written, subjects["motion"].confound.motion)
    image = nib.load(recording.bold_path)
    np.testing.assert_array_equal(image.dataobj, subjects["motion"].volumes)


def test_the_task_lowers_the_visual_rhythm_and_lies_in_the_events(datasets, subjects):
    recording = find_recordings(datasets["task"])[0][0]
    rows = table(recording.bold_events_path)
    assert set(rows["trial_type"]) == {"checkerboard"}
    assert (rows["duration"] == BLOCK_S).all()
    assert len(rows) >= 3
    subject, plain = subjects["task"], draw_subject(CONFIG, 0)
    t = subject.clock.times()
    during = ((t - rows["onset"][:, None] >= 0) & (t - rows["onset"][:, None] < BLOCK_S)).any(axis=0)
    changed = np.abs(subject.eeg_uv[:-1] - plain.eeg_uv[:-1]).max(axis=0)
    assert (changed[~during] == 0).all()
    assert np.median(changed[during]) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_model_of_the_rhythms_can_explain_it(datasets, kind):
    assert read_best_r2(datasets[kind], 128.0) == {"sub-01": 0.0}
    truth = datasets[kind] / "derivatives/simulation/sub-01/func/sub-01_task-rest_desc-confound_timeseries.tsv"
    assert len(table(truth)) == CONFIG.volumes


@pytest.mark.parametrize("part", [".", "derivatives/simulation", "derivatives/fmriprep"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bids_validator_finds_no_error(datasets, kind, part):
    if not (datasets[kind] / part).is_dir():
        assert (kind, part) in (("pulse", "derivatives/fmriprep"), ("task", "derivatives/fmriprep"))
        return
    found = shutil.which("bids-validator-deno", path=sysconfig.get_path("scripts"))
    assert found, "bids-validator-deno is missing: pip install '.[dev]'"
    command = [found, "--format", "json", str(datasets[kind] / part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [i for i in issues if i["severity"] == "error"] == []


def test_a_raw_recording_has_no_confound(tmp_path):
    with pytest.raises(ConfigError, match=r"simulation\.raw"):
        simulate(CONFIG.model_copy(update={"raw": True, "confound": "pulse"}), tmp_path / "out")
