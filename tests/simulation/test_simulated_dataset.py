import hashlib
import json
import os
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import mne
import nibabel as nib
import numpy as np
import pytest

from eeg2fmri.errors import ConfigError, DatasetError
from eeg2fmri.signals import without_drift
from eeg2fmri.simulation import (
    best_r2_temporal,
    is_simulated,
    power_of_waves,
    read_best_r2,
    read_mask,
    read_truth,
    simulate,
    subject,
    truth,
)
from eeg2fmri.simulation.anatomy import grid_affine


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def bold(dataset: Path, label: str) -> nib.Nifti1Image:
    return nib.load(dataset / label / "func" / f"{label}_task-rest_bold.nii.gz")


def eeg(dataset: Path, label: str) -> mne.io.BaseRaw:
    path = dataset / label / "eeg" / f"{label}_task-rest_eeg.vhdr"
    return mne.io.read_raw_brainvision(path, verbose="ERROR")


def test_same_configuration_gives_the_same_bytes(dataset, tiny, tmp_path):
    assert digests(simulate(tiny, tmp_path / "again")) == digests(dataset)


def test_another_seed_gives_other_recordings(dataset, tiny, tmp_path):
    other = digests(simulate(tiny.model_copy(update={"seed": 4, "subjects": 1}), tmp_path / "other"))
    ours = digests(dataset)
    for name in ("eeg/sub-01_task-rest_eeg.eeg", "func/sub-01_task-rest_bold.nii.gz"):
        assert other[f"sub-01/{name}"] != ours[f"sub-01/{name}"]


def test_a_subject_does_not_depend_on_how_many_there_are(dataset, tiny, tmp_path):
    ours = digests(dataset)
    one = digests(simulate(tiny.model_copy(update={"subjects": 1}), tmp_path / "one"))
    recordings = [name for name in one if name.startswith("sub-01")]
    assert len(recordings) > 8
    assert all(one[name] == ours[name] for name in recordings)


def test_coupling_changes_the_bold_and_not_the_eeg(dataset, tiny, tmp_path):
    null = simulate(tiny.model_copy(update={"coupling": 0.0, "subjects": 1}), tmp_path / "null")
    name = "sub-01/eeg/sub-01_task-rest_eeg.eeg"
    assert digests(null)[name] == digests(dataset)[name]
    assert not np.array_equal(bold(null, "sub-01").dataobj, bold(dataset, "sub-01").dataobj)
    assert read_best_r2(null, 128.0) == {"sub-01": 0.0}
    assert not read_truth(null, "01").any()


def test_volume_markers_are_one_tr_apart_after_a_lead_of_their_own(dataset, tiny):
    leads = []
    for label in ("sub-01", "sub-02"):
        raw = eeg(dataset, label)
        onsets = raw.annotations.onset[raw.annotations.description == "Response/R128"]
        assert len(onsets) == tiny.volumes
        np.testing.assert_allclose(np.diff(onsets), tiny.tr, atol=1e-9)
        table = np.genfromtxt(
            dataset / label / "eeg" / f"{label}_task-rest_events.tsv", names=True, dtype=None, encoding="utf-8"
        )
        np.testing.assert_allclose(table["onset"], onsets)
        after = raw.n_times / raw.info["sfreq"] - onsets[-1] - tiny.tr
        assert 2 <= after <= 5.1
        leads.append(onsets[0])
    assert all(3 <= lead <= 9 for lead in leads)
    assert leads[0] != leads[1]


def test_eeg_file_has_the_first_channels_and_the_ecg(dataset, tiny):
    raw = eeg(dataset, "sub-02")
    assert raw.ch_names[:4] == ["Fp1", "Fp2", "F3", "F4"]
    assert raw.ch_names[-1] == "ECG"
    assert len(raw.ch_names) == tiny.channels + 1
    assert raw.info["sfreq"] == tiny.sampling_rate


def test_bold_header_has_space_and_time(dataset, tiny):
    image = bold(dataset, "sub-01")
    assert image.shape == (9, 8, 7, 24)
    assert image.get_data_dtype() == np.int16
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert image.header.get_zooms()[3] == pytest.approx(tiny.tr)
    assert image.header.get_slope_inter() in ((None, None), (1.0, 0.0))
    for matrix, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        np.testing.assert_allclose(matrix, grid_affine(tiny.grid), atol=1e-4)
        assert code > 0
    sidecar = json.loads((dataset / "sub-01/func/sub-01_task-rest_bold.json").read_text())
    assert sidecar["RepetitionTime"] == tiny.tr


@pytest.mark.parametrize("cutoff", [1e6, 40.0])
def test_best_score_equals_a_computation_by_hand(dataset, tiny, cutoff):
    for label, best in read_best_r2(dataset, cutoff).items():
        measured = np.moveaxis(np.asarray(bold(dataset, label).dataobj, dtype=float), -1, 0)
        driven = read_truth(dataset, label).astype(float)
        inside = read_mask(dataset, label)
        y, d = (without_drift(series[:, inside], tiny.tr, cutoff) for series in (measured, driven))
        assert best == pytest.approx(1 - ((y - d) ** 2).sum() / (y**2).sum(), rel=1e-6)
        assert best < 1  # a few volumes may by chance lie apart from what drives them


def test_best_score_is_one_for_a_perfect_and_zero_for_a_silent_truth():
    rng = np.random.default_rng(0)
    measured, mask = rng.standard_normal((6, 4, 3, 2)), rng.random((4, 3, 2)) > 0.4
    assert best_r2_temporal(power_of_waves(measured, measured - 5, mask), 2.0, 128.0) == pytest.approx(1)
    assert best_r2_temporal(power_of_waves(measured, np.zeros_like(measured), mask), 2.0, 128.0) == 0


def test_best_score_does_not_count_drifts():
    rng = np.random.default_rng(0)
    noise, mask = rng.standard_normal((40, 4, 3, 2)), np.ones((4, 3, 2), bool)
    drift = 50 * np.cos(np.pi * (np.arange(40) + 0.5) / 40)[:, None, None, None]
    power = power_of_waves(noise + drift, np.broadcast_to(drift, noise.shape), mask)
    assert best_r2_temporal(power, 2.0, 1e6) > 0.9
    assert best_r2_temporal(power, 2.0, 128.0) == pytest.approx(0, abs=1e-9)


def test_a_truth_of_another_format_is_refused(dataset, tmp_path, refuses):
    path = tmp_path / "derivatives" / "simulation" / "truth.json"
    path.parent.mkdir(parents=True)
    content = json.loads((dataset / path.relative_to(tmp_path)).read_text())
    path.write_text(json.dumps(content | {"format": 1}))
    with refuses(DatasetError, "format 1, this version reads 2; simulate it again"):
        read_best_r2(tmp_path, 128.0)


def test_truth_of_an_ordinary_dataset_is_refused(tmp_path):
    for read in (lambda d: read_best_r2(d, 128.0), lambda d: read_truth(d, "01"), lambda d: read_mask(d, "01")):
        with pytest.raises(DatasetError, match="missing"):
            read(tmp_path)


def test_progress_counts_subjects(dataset, tiny, tmp_path):
    seen = []
    simulate(tiny, tmp_path / "counted", on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_a_folder_with_content_is_refused(tiny, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DatasetError, match="not empty"):
        simulate(tiny, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_foreign_part_folder_is_refused(tiny, tmp_path):
    (tmp_path / "out.part").mkdir()
    with pytest.raises(DatasetError, match="remove it first"):
        simulate(tiny, tmp_path / "out")


def test_a_rate_below_the_rhythms_is_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match="sampling_rate"):
        simulate(tiny.model_copy(update={"sampling_rate": 64.0}), tmp_path / "out")


def test_a_killed_run_leaves_nothing_under_its_name_and_is_carried_on(dataset, tiny, tmp_path, monkeypatch):
    out, write_truth = tmp_path / "out", truth.write_truth

    def killed(root, label, drawn):
        if label == "sub-02":
            raise KeyboardInterrupt
        return write_truth(root, label, drawn)

    monkeypatch.setattr(truth, "write_truth", killed)
    with pytest.raises(KeyboardInterrupt):
        simulate(tiny, out)
    assert not out.exists()
    monkeypatch.undo()
    drawn, draw = [], subject.draw_subject
    monkeypatch.setattr(subject, "draw_subject", lambda c, i: drawn.append(i) or draw(c, i))
    simulate(tiny, out)
    assert drawn == [1]  # the first subject was there already
    assert digests(out) == digests(dataset)


@pytest.mark.parametrize("moment", ["json.dumps", "shutil.rmtree"])
def test_a_kill_at_the_beginning_is_no_obstacle(tiny, tmp_path, monkeypatch, moment):
    out = tmp_path / "out"
    one = tiny.model_copy(update={"subjects": 1})
    if moment == "shutil.rmtree":  # of the part of other settings
        monkeypatch.setattr(subject, "draw_subject", lambda c, i: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            simulate(tiny.model_copy(update={"seed": 99}), out)
        monkeypatch.undo()
    if not (child := os.fork()):
        monkeypatch.setattr(moment, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        simulate(one, out)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert is_simulated(simulate(one, out), one)
    assert list(tmp_path.iterdir()) == [out]


def test_an_unfinished_run_with_other_settings_is_not_mixed_in(dataset, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "draw_subject", lambda c, i: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        simulate(tiny.model_copy(update={"seed": 99}), tmp_path / "out")
    monkeypatch.undo()
    assert digests(simulate(tiny, tmp_path / "out")) == digests(dataset)


@pytest.mark.parametrize("part", [".", "derivatives/simulation"])
def test_the_bids_validator_finds_no_error(dataset, part):
    found = shutil.which("bids-validator-deno", path=sysconfig.get_path("scripts"))
    assert found, "bids-validator-deno is missing: pip install '.[dev]'"
    done = subprocess.run([found, "--format", "json", str(dataset / part)], capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [i for i in issues if i["severity"] == "error"] == []
    assert done.returncode == 0


def test_a_finished_dataset_is_known_by_its_configuration(dataset, tiny, tmp_path):
    assert is_simulated(dataset, tiny)
    assert not is_simulated(dataset, tiny.model_copy(update={"seed": tiny.seed + 1}))
    assert not is_simulated(tmp_path, tiny)
