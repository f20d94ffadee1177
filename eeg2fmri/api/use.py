"""Functions that use a model: for one subject, for labels, for volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri import serving
from eeg2fmri.adaptation import Adaptation, adapt_bundle, prepare_adaptation
from eeg2fmri.api.settings import Settings, changed, config_of
from eeg2fmri.classification import Classification, classify_subjects, find_labelled, parcellation, subject_features
from eeg2fmri.datasets import AUTO
from eeg2fmri.errors import ConfigError
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Store

if TYPE_CHECKING:
    from nibabel import Nifti1Image


def adapt(model: Bundle, store: Store, subject: str, minutes: float = 5.0, config: Settings = None) -> Adaptation:
    """Make a version of a model for one subject, from the first minutes of a recording of that subject.

    The version has the subject's own maps: those of the model, each with a smooth weight of its own, shrunk towards the
    model's. Other subjects choose how much. It is scored on the rest of the recording, after a gap.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`, of a family with maps (``linear``, ``factorised``, ``calhas2022``).
    store : Store
        Holds the subject's recording and those that the model was trained on.
    subject : str
        A subject that the model has not seen, such as ``"sub-09"``; of a subject with several recordings, the name of
        one.
    minutes : float, default=5.0
        Minutes of the recording, from its first volume on, that adapt the model.
    config : Config or path, optional
        Its section ``evaluation``.

    Returns
    -------
    Adaptation
        ``bundle`` is the version, for `save_model` and `synthesise`. ``scores`` and ``before`` are the scores of the
        version and of the model on the rest of the recording, as `evaluate` gives them; ``gain`` is their difference.

    Raises
    ------
    ConfigError
        If the store has no such subject, or several recordings of that subject.
    DatasetError
        If the recording is too short.
    LeakageError
        If the model has seen the subject.
    ModelError
        If the family cannot be adapted, or the store does not hold enough training subjects.

    Examples
    --------
    >>> own = eeg2fmri.adapt(model, store, "sub-09", minutes=5)  # doctest: +SKIP
    >>> own.gain  # r2_temporal on the rest, minus that of the model  # doctest: +SKIP
    >>> eeg2fmri.save_model(own.bundle, "work/linear-sub-09")  # doctest: +SKIP
    """
    given = config_of(config)
    parts = prepare_adaptation(model, store, subject, minutes)
    return adapt_bundle(model, store, parts, minutes, given)


def classify(
    model: Bundle,
    root: Path | str,
    config: Settings = None,
    *,
    column: str | None = None,
    atlas: Path | str | None = None,
    workdir: Path | str | None = None,
    workers: int = 1,
) -> Classification:
    """Predict a label of subjects with EEG only, by what a model synthesises from their EEG and by the EEG itself.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    root : path
        Folder of a dataset with EEG and ``participants.tsv``; BOLD is not read.
    config : Config or path, optional
        Its sections ``classify``, ``dataset`` and ``evaluation``: labels, folds and permutations, which EEG is used,
        and which drifts do not count; ``policy.level`` must be within reach of the permutations.
    column : str, optional
        Column of ``participants.tsv`` with the labels; by default that of ``classify.column``.
    atlas : path, optional
        Label image (NIfTI) of the regions; by default that of ``evaluation.atlas``, or cubes of ``classify.block``.
    workdir : path, optional
        Folder that keeps the features of each recording, so that a repeated call does not compute them again. The
        model must be one of `load_model`.
    workers : int, default=1
        Processes that share the recordings.

    Returns
    -------
    Classification
        `table` has one row per set of features (``regions``, ``latents``, ``eeg``), with balanced accuracy, its mean
        with permuted labels, and p. `by_subject` has the probability of each subject's own label. `beside_eeg` compares
        each set with the EEG alone.

    Raises
    ------
    DatasetError, AlignmentError
        If a label has too few subjects, or a recording or the atlas cannot be used.
    IncompleteError
        If a worker dies.
    ModelError
        If the model's volumes do not depend on the EEG, or `workdir` is given for a model that was not loaded.

    Examples
    --------
    >>> model = eeg2fmri.load_model("work/linear")  # doctest: +SKIP
    >>> found = eeg2fmri.classify(model, "clinic", column="group", workdir="work", workers=2)  # doctest: +SKIP
    >>> found.table  # doctest: +SKIP
    >>> found.beside_eeg["regions"].p_value  # doctest: +SKIP
    """
    given = changed(config_of(config), "classify", column=column)
    given = changed(given, "evaluation", atlas=atlas)
    found = find_labelled(given, Path(root))
    features = subject_features(model, found, parcellation(model, given), given, workers=workers,
                                workdir=None if workdir is None else Path(workdir))  # fmt: skip
    return classify_subjects(features, found.labels, given)


def synthesise(
    model: Bundle,
    eeg: Path | str | np.ndarray,
    out: Path | str | None = None,
    *,
    sampling_rate: float | None = None,
    channels: Sequence[str] | None = None,
    volume_marker: str = AUTO,
    interval: bool = False,
) -> Nifti1Image:
    """Synthesise the BOLD volumes that follow an EEG recording.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    eeg : path or array
        An EEG file (BrainVision, EDF, BDF, EEGLAB, FIF), which is cleaned as the training data; or
        clean EEG (channels, samples) in µV; MNE-Python has volts.
    out : path, optional
        ``.nii`` or ``.nii.gz`` to write, with a BIDS sidecar (``.json``) beside it.
    sampling_rate : float, optional
        Hz; of an array, which needs it.
    channels : sequence of str, optional
        Names of the rows of an array; by default the model's channels in its order.
    volume_marker : str, default="auto"
        Description of the scanner's marker in a file. The first one is time zero.
    interval : bool, default=False
        Also write the standard deviation of measured BOLD around the synthesised volumes beside `out`, as
        ``…_stat-std_boldmap.nii.gz``; its sidecar says how to read it. ``model.residual_sd`` is the same map.

    Returns
    -------
    nibabel.Nifti1Image
        (x, y, z, volumes), intensities on the scale of the training recordings, 0 outside the model's brain mask.
        The first volume starts ``model.window_shape[2]`` TRs after time zero.

    Raises
    ------
    ConfigError
        If `out` is not a NIfTI file's name, missing with `interval`, or there and not from here; or the sampling rate
        is missing or not needed.
    ModelError
        If the model has no interval, with the reason.
    DatasetError
        If the file is missing, damaged, too short, or lacks channels.
    RequestError
        If the array is too short, lacks channels or is not in µV.

    Examples
    --------
    >>> image = eeg2fmri.synthesise(model, "sub-09_task-rest_eeg.vhdr", "sub-09_bold.nii.gz")  # doctest: +SKIP
    >>> raw = mne.io.read_raw("clean_eeg.fif")  # doctest: +SKIP
    >>> eeg, rate = 1e6 * raw.get_data(), raw.info["sfreq"]  # doctest: +SKIP
    >>> image = eeg2fmri.synthesise(model, eeg, sampling_rate=rate, channels=raw.ch_names)  # doctest: +SKIP
    """
    if out is not None:
        serving.check_place(Path(out), interval=interval)
    if interval:
        serving.check_interval(model)
        if out is None:
            raise ConfigError("interval needs a file beside which its map is written; give out")
    if isinstance(eeg, np.ndarray):
        if sampling_rate is None:
            raise ConfigError("sampling_rate is missing, and an array does not contain it; give it in Hz")
        synthesis = serving.synthesise_samples(model, eeg, sampling_rate, channels)
    elif sampling_rate is None and channels is None:
        synthesis = serving.synthesise_recording(model, Path(eeg), volume_marker)
    else:
        raise ConfigError("sampling_rate and channels are those of an array; a file has its own, leave them out")
    if interval and out is not None:
        serving.write_interval(model, Path(out), {"Sources": synthesis.sidecar.get("Sources", [])})
    if out is not None:
        synthesis.write(Path(out))
    return synthesis.image
