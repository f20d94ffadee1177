"""What can be asked of a store."""

import json

import pytest

from eeg2fmri.store import describe, recordings_table, summary


def test_one_row_per_recording(build):
    store, _ = build()
    table = recordings_table(store)
    assert list(table["recording"]) == [r.name for r in store.recordings]
    assert set(table["volumes"]) == {20}
    assert set(table["instances"]) == {17}
    assert set(table["brain_voxels"]) == {7 * 6 * 5}
    statistics = store.recordings[0].statistics
    mean, sd = statistics.voxel_mean[4, 3, 2], statistics.voxel_sd[4, 3, 2]
    assert table["temporal_snr"][0] == pytest.approx(mean / sd, rel=0.5)


def test_the_description_is_json_and_whole(build):
    store, _ = build()
    found = json.loads(json.dumps(describe(store)))
    assert found["digest"] == store.digest
    assert found["instances"] == 51
    assert found["signal"] == store.signal.to_json()
    assert [row["subject"] for row in found["recordings"]] == ["sub-01", "sub-02", "sub-03"]
    assert len(found["recordings"][0]["sources"][0]["sha256"]) == 64


def test_warnings_are_not_forgotten(build, write_recording, bids_root):
    write_recording(bids_root, "09", markers=[130 + 50 * v for v in range(22) if v != 7])
    store, _ = build()
    assert "look at    sub-09_task-rest: its R128 markers: 21 markers, 1 absent" in summary(store)
    assert [len(row["warnings"]) for row in describe(store)["recordings"]] == [0, 0, 0, 1]


def test_the_summary_names_what_there_is(build, write_recording, bids_root, rng):
    write_recording(bids_root, "09", eeg=rng.normal(0, 20, (4, 1300)), names=("Fp1", "Cz", "Oz", "ECG"))
    store, _ = build()
    text = summary(store)
    for part in (store.digest, "4 recordings of 4 subjects, 68 instances of 3 windows", "4 channels, 7 frequencies",
                 "9 × 8 × 7, TR 0.5 s, space native", "channel Fp2, absent from sub-09_task-rest"):  # fmt: skip
        assert part in text
