"""From an EEG file to a NIfTI file: what is in it, and that a failure leaves none."""

from __future__ import annotations

import dataclasses
import errno
import json
from fractions import Fraction

import nibabel
import numpy as np
import pybv
import pytest

from eeg2fmri.config import CleaningConfig
from eeg2fmri.errors import AlignmentError, ConfigError, DatasetError, DiskFullError
from eeg2fmri.serving import synthesise_file
from eeg2fmri.signals import DENSITY, current_source_density
from eeg2fmri.signals.resample_eeg import resample
from tests.fakes import CHANNELS, CONTEXT, GRID, SAMPLING_RATE, TR

STEP = round(TR * SAMPLING_RATE)
LEAD = 20  # samples before the first volume marker
TRS = 7


@pytest.fixture
def signal(rng):
    return rng.normal(0, 20, (len(CHANNELS), LEAD + TRS * STEP + 5))


@pytest.fixture
def write(tmp_path, signal):
    """Write a BrainVision recording and its channels.tsv; what is not given is the valid one."""

    def written(data=None, names=CHANNELS, markers=True, rate=SAMPLING_RATE, marker=("Response", 128)):
        data = signal if data is None else data
        kind, number = marker
        events = [{"onset": LEAD + n * STEP, "description": number, "type": kind} for n in range(3)]
        pybv.write_brainvision(
            data=data * 1e-6,
            sfreq=rate,
            ch_names=list(names),
            fname_base="sub-01_task-rest_eeg",
            folder_out=tmp_path / "eeg",
            events=events if markers else None,
            fmt="binary_float32",
        )
        rows = "".join(f"{name}\t{'ECG' if name == 'ECG' else 'EEG'}\n" for name in names)
        (tmp_path / "eeg" / "sub-01_task-rest_channels.tsv").write_text("name\ttype\n" + rows)
        return tmp_path / "eeg" / "sub-01_task-rest_eeg.vhdr"

    return written


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "bold.nii.gz"


def in_file(bundle, volumes):
    """Volumes as an image holds them, (x, y, z, n): background 0."""
    assert 0 < bundle.model.bold_statistics.mask.mean() < 1
    return np.moveaxis(volumes * bundle.model.bold_statistics.mask, 0, 3)


def test_volumes_are_those_of_the_windows_after_the_first_marker(bundle, write, signal, out):
    shape = synthesise_file(bundle, write(), out)
    assert shape == (*GRID, TRS - CONTEXT + 1)
    windows = bundle.windows(signal.astype(np.float32), SAMPLING_RATE, onset=LEAD)
    expected = in_file(bundle, bundle.model.synthesise(windows))
    np.testing.assert_allclose(nibabel.load(out).get_fdata(), expected, rtol=1e-4)


def test_header_and_sidecar(bundles, write, out):
    synthesise_file(bundles["linear"], write(), out)
    image = nibabel.load(out)
    np.testing.assert_array_equal(image.affine, np.diag([2, 3, 4, 1]))
    assert image.header.get_zooms() == pytest.approx((2, 3, 4, TR))
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert image.header["sform_code"] == image.header["qform_code"] == 1
    assert (image.get_fdata()[~bundles["linear"].model.bold_statistics.mask] == 0).all()
    assert image.get_data_dtype() == np.float32
    assert b"eeg2fmri" in bytes(image.header["descrip"])
    sidecar = json.loads((out.parent / "bold.json").read_text())
    assert sidecar["RepetitionTime"] == TR
    assert sidecar["StartTime"] == CONTEXT * TR
    assert sidecar["Sources"] == ["sub-01_task-rest_eeg.vhdr"]


def test_nilearn_opens_it(bundles, write, out):
    from nilearn.image import load_img, mean_img

    synthesise_file(bundles["linear"], write(), out)
    assert load_img(out).shape == (*GRID, 5)
    assert mean_img(out, copy_header=True).shape == GRID


def test_without_markers_the_file_starts_the_run(bundles, write, signal, out, caplog):
    bundle = bundles["linear"]
    synthesise_file(bundle, write_events(write(marker=("Stimulus", 1)), [1.5], "S  1"), out)
    assert "sub-01_task-rest_eeg.vhdr: time zero is the start of the EEG file" in caplog.text
    expected = bundle.model.synthesise(bundle.windows(signal.astype(np.float32), SAMPLING_RATE))
    np.testing.assert_allclose(nibabel.load(out).get_fdata(), in_file(bundles["linear"], expected), rtol=1e-4)


def test_the_density_is_taken_where_the_store_has_it(bundles, write, signal, out):
    signal_of_density = dataclasses.replace(bundles["linear"].signal, unit=DENSITY)
    synthesise_file(dataclasses.replace(bundles["linear"], signal=signal_of_density), write(), out)
    density = current_source_density(signal.astype(np.float32), CHANNELS)
    expected = bundles["linear"].model.synthesise(bundles["linear"].windows(density, SAMPLING_RATE, onset=LEAD))
    np.testing.assert_allclose(nibabel.load(out).get_fdata(), in_file(bundles["linear"], expected), rtol=1e-4)
    potential = bundles["linear"].model.synthesise(bundles["linear"].windows(signal, SAMPLING_RATE, onset=LEAD))
    assert np.abs(potential - expected).max() > 1e-3 * np.ptp(expected)


def write_events(header, onsets_s, label="R128"):
    rows = "".join(f"{onset:.4f}\t0\t{label}\n" for onset in onsets_s)
    table = header.with_name("sub-01_task-rest_events.tsv")
    table.write_text("onset\tduration\ttrial_type\n1.1\t0\tpress\n" + rows)
    return header


VOLUMES_S = np.array([LEAD + n * STEP for n in range(3)]) / SAMPLING_RATE


@pytest.mark.parametrize(
    ("make", "marker"),
    [
        (lambda write: write(marker=("Stimulus", 1)), "S 1"),
        (lambda write: write_events(write(markers=False), VOLUMES_S), "R128"),
        (lambda write: write_events(write(marker=("Stimulus", 1)), VOLUMES_S), "R128"),
        (lambda write: write_events(write(markers=False), VOLUMES_S, "volume"), "volume"),
        (lambda write: write_events(write(), VOLUMES_S + 0.2), "R128"),
        (lambda write: write_events(write(markers=False), [VOLUMES_S[0] - TR, *VOLUMES_S]), "R128"),
    ],
    ids=["named", "table", "other marker in the file", "named in the table", "file before table", "before the file"],
)
def test_the_first_volume_marker_of_the_file_or_its_table_is_time_zero(
    make, marker, bundles, write, signal, out, caplog, request
):
    bundle = bundles["linear"]
    synthesise_file(bundle, make(write), out, marker)
    said = [record.getMessage() for record in caplog.records]
    assert all("the first R128 0.200 s later than the EEG file" in line for line in said)
    assert len(said) == ("file before table" in request.node.name)
    expected = bundle.model.synthesise(bundle.windows(signal.astype(np.float32), SAMPLING_RATE, onset=LEAD))
    np.testing.assert_allclose(nibabel.load(out).get_fdata(), in_file(bundles["linear"], expected), rtol=1e-4)


def test_markers_of_the_table_serve_cleaning_too(bundles, write, out):
    cleaning = CleaningConfig(gradient=True, template=3).model_dump(mode="json")
    bundle = dataclasses.replace(bundles["linear"], settings={**bundles["linear"].settings, "cleaning": cleaning})
    synthesise_file(bundle, write(), out)
    in_the_file = nibabel.load(out).get_fdata()
    header = out.parents[1] / "eeg" / "sub-01_task-rest_eeg.vhdr"
    for path in header.parent.iterdir():
        path.unlink()
    synthesise_file(bundle, write_events(write(markers=False), VOLUMES_S), out)
    np.testing.assert_array_equal(nibabel.load(out).get_fdata(), in_the_file)


def test_the_eeg_is_cleaned_as_that_of_the_store(bundles, write, rng, out):
    """At twice the model's rate and with a common reference, as the store's settings say."""
    cleaning = CleaningConfig(sampling_rate=SAMPLING_RATE, average_reference=True).model_dump(mode="json")
    bundle = dataclasses.replace(bundles["linear"], settings={**bundles["linear"].settings, "cleaning": cleaning})
    fast = rng.normal(0, 20, (len(CHANNELS), LEAD + TRS * 2 * STEP + 5)).astype(np.float32)
    synthesise_file(bundle, write(fast, rate=2 * SAMPLING_RATE), out)
    slow = resample(fast, Fraction(1, 2))
    scalp = [name != "ECG" for name in CHANNELS]
    slow[scalp] -= slow[scalp].mean(axis=0)
    expected = bundle.model.synthesise(bundle.windows(slow, SAMPLING_RATE, onset=LEAD / 2))
    np.testing.assert_allclose(nibabel.load(out).get_fdata(), in_file(bundles["linear"], expected), rtol=1e-4)


def test_eeg_that_cannot_be_cleaned_alike_is_refused(bundles, write, out, refuses):
    cleaning = CleaningConfig(gradient=True).model_dump(mode="json")
    bundle = dataclasses.replace(bundles["linear"], settings={**bundles["linear"].settings, "cleaning": cleaning})
    with refuses(AlignmentError, r"eeg\.vhdr: data\.cleaning\.gradient needs the volume markers of the run, found 0"):
        synthesise_file(bundle, write(markers=False), out)
    assert not out.parent.exists()


def test_channels_are_found_by_name(bundles, write, signal, out, tmp_path):
    order = [3, 5, 0, 2, 1, 4]
    synthesise_file(bundles["linear"], write(), out)
    straight = nibabel.load(out).get_fdata()
    for path in (tmp_path / "eeg").iterdir():
        path.unlink()
    synthesise_file(bundles["linear"], write(signal[order], [CHANNELS[i] for i in order]), out)
    np.testing.assert_allclose(nibabel.load(out).get_fdata(), straight, rtol=1e-5)


def test_uncompressed(bundles, write, tmp_path):
    synthesise_file(bundles["linear"], write(), tmp_path / "bold.nii")
    assert nibabel.load(tmp_path / "bold.nii").shape == (*GRID, 5)
    assert (tmp_path / "bold.json").exists()


def test_nothing_but_the_image_and_its_sidecar_is_left(bundles, write, out):
    synthesise_file(bundles["linear"], write(), out)
    assert sorted(p.name for p in out.parent.iterdir()) == ["bold.json", "bold.nii.gz"]


def test_a_failed_write_leaves_the_old_file_and_no_part(bundles, write, out):
    synthesise_file(bundles["linear"], write(), out)
    old = {path.name: path.read_bytes() for path in out.parent.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    with pytest.raises(DiskFullError, match="no space"):
        synthesise_file(bundles["mean"], out.parents[1] / "eeg" / "sub-01_task-rest_eeg.vhdr", out, on_volumes=full)
    assert {path.name: path.read_bytes() for path in out.parent.iterdir()} == old


def corrupt(path):
    path.write_text("not a header")
    return path


def cut(path):
    path.with_suffix(".eeg").unlink()
    return path


def untyped(path):
    table = path.with_name("sub-01_task-rest_channels.tsv")
    table.write_text(table.read_text().replace("EEG", "MISC").replace("\tECG", "\tMISC"))
    return path


def link_without_content(path):
    path.with_name("sub-01_task-rest_events.tsv").symlink_to("../.git/annex/objects/none")
    return path


FAULTS = {
    "event table not fetched": (
        lambda write, signal: link_without_content(write(markers=False)),
        "events.tsv: its content was never fetched",
    ),
    "missing": (lambda write, signal: write().with_name("none_eeg.vhdr"), "none_eeg.vhdr: no such EEG file"),
    "corrupt header": (lambda write, signal: corrupt(write()), "not a readable EEG recording"),
    "signals gone": (lambda write, signal: cut(write()), "not a readable EEG recording"),
    "too short": (lambda write, signal: write(signal[:, : LEAD + 3 * STEP - 1]), "eeg: .* at least 1.50 s"),
    "channel missing": (lambda write, signal: write(signal[:5], CHANNELS[:5]), "channels: ECG missing"),
    "no channel of the types": (lambda write, signal: untyped(write()), "no channel of type eeg or ecg"),
    "rate too low": (lambda write, signal: write(rate=40.0), "sampling_rate: 40 Hz is too low"),
    "NaN": (lambda write, signal: write(np.where(signal == signal[0, 9], np.nan, signal)), "NaN .* in Fp1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_unusable_eeg_is_refused_and_nothing_written(bundles, write, signal, out, fault):
    make, words = FAULTS[fault]
    with pytest.raises(DatasetError, match=words) as caught:
        synthesise_file(bundles["linear"], make(write, signal), out)
    assert "\n" not in str(caught.value)
    assert not out.parent.exists()


def test_markers_that_change_their_rhythm_are_refused(bundles, write, out, refuses):
    header = write(markers=False)
    late = [LEAD + n * STEP + (STEP // 3) * (n > 2) for n in range(6)]  # EEG is missing, unmarked
    file = header.with_suffix(".vmrk")
    marks = "".join(f"Mk{n + 2}=Response,R128,{place + 1},1,0\n" for n, place in enumerate(late))
    file.write_text(file.read_text(encoding="utf-8").rstrip() + "\n" + marks, encoding="utf-8")
    with refuses(AlignmentError, r"its R128 markers change their rhythm; the parts span 3 and 3 volumes; export"):
        synthesise_file(bundles["linear"], header, out)
    assert not out.parent.exists()


@pytest.mark.parametrize("name", ["bold.mgz", "bold", "bold.nii.zip"])
def test_output_of_another_kind_is_refused(bundles, write, tmp_path, name):
    with pytest.raises(ConfigError, match=r"must end in \.nii or \.nii\.gz"):
        synthesise_file(bundles["linear"], write(), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_volumes_whose_context_has_a_gap_are_0_and_listed(bundles, write, signal, out, caplog):
    """A pause of 1.5 TR, known by the time of day of the second segment, lies within the third window."""
    bundle = bundles["linear"]
    header = write(markers=False)
    cut, pause = LEAD + 2 * STEP + 3, int(1.5 * STEP)
    file = header.with_suffix(".vmrk")
    text = file.read_text(encoding="utf-8")
    later = f"202401011200{(cut + pause) / SAMPLING_RATE:09.6f}".replace(".", "")
    lines = [line for line in text.splitlines() if not line.startswith("Mk")]
    marks = [f"Response,R128,{LEAD + 1},1,0", f"New Segment,,{cut + 1},1,0,{later}"]
    marks = ["New Segment,,1,1,0,20240101120000000000", *marks]
    file.write_text(
        "\n".join([*lines, *(f"Mk{i + 1}={mark}" for i, mark in enumerate(marks))]) + "\n", encoding="utf-8"
    )
    synthesise_file(bundle, header, out)
    volumes = nibabel.load(out).get_fdata()
    listed = json.loads(out.with_name(out.name.split(".")[0] + ".json").read_text())["VolumesWithoutEEG"]
    assert listed
    assert not volumes[..., listed].any()
    others = np.setdiff1d(np.arange(volumes.shape[3]), listed)
    assert all(volumes[..., volume].any() for volume in others)
    assert f"{len(listed)} of {volumes.shape[3]} volumes have a gap of the EEG in their context" in caplog.text
