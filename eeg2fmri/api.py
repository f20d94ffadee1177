"""The Python interface: the steps of the command line as functions, without MLflow.

`import eeg2fmri` gives these names. The argument `config` is a `Config`, the path of a YAML file, or nothing for the
defaults; the same file works with the command line.

Examples
--------
All steps, from a BIDS dataset to a synthesised image:

>>> import eeg2fmri
>>> print(eeg2fmri.inspect("my-study").to_frame())  # doctest: +SKIP
>>> store = eeg2fmri.preprocess("my-study", "work/store")  # doctest: +SKIP
>>> model = eeg2fmri.fit(store, variant="linear")  # doctest: +SKIP
>>> scores = eeg2fmri.evaluate(model, store)  # doctest: +SKIP
>>> found = eeg2fmri.explain(model, store)  # doctest: +SKIP
>>> eeg2fmri.save_model(model, "work/linear")  # doctest: +SKIP
>>> image = eeg2fmri.synthesise(model, "sub-09_task-rest_eeg.vhdr", "sub-09_bold.nii.gz")  # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eeg2fmri import plotting, serving
from eeg2fmri.adaptation import Adaptation, adapt_bundle, prepare_adaptation
from eeg2fmri.classification import Classification, classify_subjects, find_labelled, parcellation, subject_features
from eeg2fmri.config import Config, load_config
from eeg2fmri.datasets import AUTO, Overview, find_recordings, survey
from eeg2fmri.devices import use_backend
from eeg2fmri.errors import ConfigError, ModelError, counted
from eeg2fmri.evaluation import Relevance
from eeg2fmri.explanation import relevance
from eeg2fmri.families import FitSettings, OnEpoch, fitted_figures
from eeg2fmri.families import fit as fit_family
from eeg2fmri.files import written_whole
from eeg2fmri.scorable import atlas_to_score, check_fits, check_unseen, recordings_to_score, seen_windows
from eeg2fmri.scoring import Scoring, score_windows, scored_figures
from eeg2fmri.serving import Bundle
from eeg2fmri.store import (
    Store,
    Windows,
    build_store,
    check_digest,
    dataset_name,
    prepare,
    recordings_digest,
    say_left_out,
    split_store,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from nibabel import Nifti1Image

logger = logging.getLogger(__name__)
Settings = Config | Path | str | None


def inspect(root: Path | str, config: Settings = None, *, full: bool = False) -> Overview:
    """List the recordings of a dataset: the usable ones, and the reason why others are not usable.

    Headers and a few seconds of EEG are read, unless `full`.

    Parameters
    ----------
    root : path
        Folder of the dataset.
    config : Config or path, optional
        Its sections ``dataset`` and ``data`` choose recordings and their preparation. If it is given, a recording
        that is too short for it is not usable.
    full : bool, default=False
        Prepare every recording as `preprocess` does. That takes as long, but finds every fault in a file.

    Returns
    -------
    Overview
        `to_frame` gives a table with one row per recording: TR (s), sampling rate (Hz), grid, clock.
        `problems` are pairs of a path and its fault.

    Raises
    ------
    DatasetError
        If `root` is missing, or a filter's label matches nothing.
    ConfigError
        If `config` is not valid.

    Examples
    --------
    >>> overview = eeg2fmri.inspect("my-study")  # doctest: +SKIP
    >>> overview.to_frame()[["recording", "status", "tr", "volumes"]]  # doctest: +SKIP
    >>> overview.problems  # doctest: +SKIP
    """
    given = _config(config)
    read = partial(prepare, config=given.data) if full else None
    return survey(Path(root), given.dataset, given.data, strict=full or config is not None, read=read)


def preprocess(
    root: Path | str, store: Path | str, config: Settings = None, *, workers: int = 1, allow_failures: bool = False
) -> Store:
    """Turn a dataset into a store of EEG spectrograms and BOLD volumes on one clock.

    Recordings that are in the store already are kept, so a repeated call continues where it stopped.

    Parameters
    ----------
    root : path
        Folder of the dataset.
    store : path or URL
        Folder of the store, or a place that fsspec knows (``s3://bucket/store``).
    config : Config or path, optional
        Its sections ``dataset`` and ``data`` say which recordings are used and how. The store keeps its section
        ``split`` for `fit` and `evaluate`.
    workers : int, default=1
        Processes that work on recordings at the same time.
    allow_failures : bool, default=False
        Continue although some recordings cannot be used; each is logged.

    Returns
    -------
    Store
        Of each recording ``spectrogram`` (volumes - 1, channels, frequencies) in µV and ``volumes``
        (volumes, x, y, z) in scanner intensity.

    Raises
    ------
    DatasetError
        If no recording can be used.
    IncompleteError
        If some cannot, and that is not allowed; the others are in the store.
    StoreError
        If there is something else, or a store with other settings.

    Examples
    --------
    >>> store = eeg2fmri.preprocess("my-study", "work/store", "my-study.yaml", workers=4)  # doctest: +SKIP
    >>> store.subjects  # doctest: +SKIP
    ['sub-01', 'sub-02', 'sub-03']
    """
    given = _config(config)
    recordings, skipped = find_recordings(Path(root).absolute(), given.dataset)
    for line in counted((item.path, f"{item.reason}; skipped") for item in skipped):
        logger.warning("%s", line)
    name = dataset_name(Path(root))
    built = build_store(recordings, store, given.data, name=name, split=given.split, workers=workers)
    say_left_out(built, allow_failures=allow_failures)
    return built.store


def fit(
    store: Store, config: Settings = None, variant: str | None = None, *, on_epoch: OnEpoch | None = None
) -> Bundle:
    """Fit a model on the training subjects of a store.

    Validation subjects choose the epoch or the penalty. Test subjects are not touched.

    Parameters
    ----------
    store : Store
        From `preprocess` or `open_store`.
    config : Config or path, optional
        Its sections ``models``, ``split`` and ``run`` say what is fitted, on whom (by default as the store was
        prepared), and with which seed.
    variant : str, optional
        One of its models: ``"linear"``, ``"factorised"``, ``"tafp-style"``, …; by default the first.
    on_epoch : callable, optional
        Called after each epoch with its place from 0, a dictionary of metrics, and an example of a validation subject:
        ``measured`` and ``synthesised`` change from the mean over the recording, each (x, y, z), and ``dynamics``.

    Returns
    -------
    Bundle
        The fitted model with the settings of its EEG and its volumes, for `evaluate`, `save_model`, `synthesise`
        and `figures`. ``provenance["history"]`` holds its scores per epoch.

    Raises
    ------
    ConfigError
        If there is no such variant, or there are too few subjects or windows.
    LeakageError
        If a subject is in two parts of the split.
    SpecError
        If the architecture does not fit the shapes.

    Examples
    --------
    >>> model = eeg2fmri.fit(store, variant="linear")  # doctest: +SKIP
    >>> model.window_shape  # channels, frequencies, windows  # doctest: +SKIP
    (63, 134, 10)
    """
    given = _config(config)
    chosen = given.model(variant)
    check_digest(store, given.run.store_digest)
    split = split_store(store, given.split)
    use_backend(given.run.backend, deterministic=given.run.deterministic)
    train, validation = (Windows(store.of(part), store.context) for part in (split.train, split.validation))
    result = fit_family(chosen, train, validation, FitSettings.of(given), on_epoch)
    return Bundle.of(result, store, split, given.evaluation.drift_cutoff)


def evaluate(
    model: Bundle, store: Store, split: str = "test", config: Settings = None, *, atlas: Path | str | None = None
) -> Scoring:
    """Score a model on subjects that it has not seen, beside its nulls.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    store : Store
        Made with the settings of the store that the model was fitted on.
    split : {"test", "validation", "train"}, default="test"
        Part of the subjects.
    config : Config or path, optional
        Its sections ``split`` and ``evaluation``: who is in which part (by default as the store was prepared), and
        how many shuffles.
    atlas : path, optional
        Label image (NIfTI) whose regions are scored too; by default that of ``evaluation.atlas``, if there is one.

    Returns
    -------
    Scoring
        `table` has one row per recording and condition, with the columns subject, recording, condition and one per
        score. The conditions are ``model``, ``mean_volume`` (what knows no EEG), ``shuffled`` (the model, given EEG
        of the wrong time) and the baselines of ``evaluation.baselines``; `absent` says why one is not there.
        ``r2_temporal`` is the score that decides: the share of the changes over time, drifts left out, that is
        explained. `significance` has the chance that wrong EEG does as well, and the interval over subjects; `null` the
        distribution behind it. `voxels` has the voxels that the model follows beyond the false-discovery rate, and
        `regions` a table of scores per region where there is an atlas.

    Raises
    ------
    LeakageError
        If the model has seen one of the recordings.
    ModelError
        If the model does not fit the store.
    DatasetError
        If a recording is too short to shuffle, the test set is too small for ``policy.level``, or the atlas cannot be
        used.

    Examples
    --------
    >>> scores = eeg2fmri.evaluate(model, store)  # doctest: +SKIP
    >>> scores.table.groupby("condition")["r2_temporal"].mean()  # doctest: +SKIP
    """
    given = _changed(_config(config), "evaluation", atlas=atlas)
    check_fits(model, store)
    recordings = recordings_to_score(given, store, split)
    regions = atlas_to_score(given, store, recordings)
    check_unseen(model, recordings, split)
    windows = Windows(recordings, store.context)
    train, validation = (seen_windows(model, store, part) for part in ("train", "validation"))
    return score_windows(model.model, windows, given.evaluation, train, validation, regions)


def adapt(model: Bundle, store: Store, subject: str, minutes: float = 5.0, config: Settings = None) -> Adaptation:
    """Make a version of a model for one subject, from the first minutes of a recording of that subject.

    The version has the subject's own maps: those of the model, each with a smooth weight of its own, shrunk towards the
    model's. Other subjects choose how much. It is scored on the rest of the recording, after a gap.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`, of a family with maps (``linear``, ``factorised``).
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
    given = _config(config)
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
    given = _changed(_config(config), "classify", column=column)
    given = _changed(given, "evaluation", atlas=atlas)
    found = find_labelled(given, Path(root))
    features = subject_features(model, found, parcellation(model, given), given, workers=workers,
                                workdir=None if workdir is None else Path(workdir))  # fmt: skip
    return classify_subjects(features, found.labels, given)


def explain(
    model: Bundle, store: Store, split: str = "test", config: Settings = None, *, mask: np.ndarray | None = None
) -> Relevance:
    """Find out which channels, frequencies and lags a model's score comes from.

    One part of the EEG after the other is replaced by that of another time of the recording.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    store : Store
        Made with the settings of the store that the model was fitted on.
    split : {"test", "validation", "train"}, default="test"
        Which part of the subjects.
    config : Config or path, optional
        Its sections ``split``, ``evaluation`` and ``explanation``: who is in which part, which drifts do not count,
        and how many windows are looked at.
    mask : array, optional
        (x, y, z) bool, voxels whose score is explained; by default the brain.

    Returns
    -------
    Relevance
        What `r2_temporal` loses without each of the ``channels``, ``regions``, ``frequencies`` and ``lags``, beside
        what it loses by chance. `figures` draws it.

    Raises
    ------
    LeakageError
        If the model has seen one of the recordings.
    ModelError
        If the model does not fit the store.
    EvaluationError
        If no recording is long enough, or the mask does not fit.

    Examples
    --------
    >>> found = eeg2fmri.explain(model, store)  # doctest: +SKIP
    >>> found.channels.ranked()[:3]  # doctest: +SKIP
    ['O2', 'Oz', 'O1']
    """
    given = _config(config)
    check_fits(model, store)
    recordings = recordings_to_score(given, store, split)
    check_unseen(model, recordings, split)
    return relevance(
        model.model,
        Windows(recordings, store.context),
        most=given.explanation.windows,
        drift_cutoff=given.evaluation.drift_cutoff,
        mask=mask,
    )


def figures(model: Bundle, scores: Scoring | None = None, found: Relevance | None = None) -> dict[str, Figure]:
    """Draw what a model learned, how it scores, and from what.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    scores : Scoring, optional
        From `evaluate`.
    found : Relevance, optional
        From `explain`.

    Returns
    -------
    dict of matplotlib.figure.Figure
        Where scores are given ``dynamics``, where the model follows BOLD over time and whether that is chance,
        ``scores``, and ``voxels``, those that it follows beyond the false-discovery rate; where `found` is,
        ``relevance``, and ``shares`` of a network's channels and frequencies in what it synthesises, and its
        ``attention``, if it has one; then ``learning_curves`` of several epochs, and those of the model's family
        (``coefficients`` of a linear model).

    Examples
    --------
    >>> for name, figure in eeg2fmri.figures(model, scores).items():  # doctest: +SKIP
    ...     figure.savefig(f"{name}.png")
    """
    drawn = fitted_figures(model.model, model.provenance["history"], model.signal)
    name = model.model.config.variant
    if found is not None:
        drawn = plotting.relevance_figures(found, title=name) | drawn
    if scores is not None:
        drawn = scored_figures(scores, title=name) | drawn
    return drawn


def report(
    model: Bundle,
    store: Store,
    out: Path | str,
    split: str = "test",
    config: Settings = None,
    *,
    scores: Scoring | None = None,
    found: Relevance | None = None,
) -> Path:
    """Write the report of an evaluation: one HTML page, which needs no network.

    It is the page that the command `evaluate` logs. MLflow is imported, and nothing is written to it.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    store : Store
        Made with the settings of the store that the model was fitted on.
    out : path
        The file, e.g. ``report.html``.
    split : {"test", "validation", "train"}, default="test"
        Part of the subjects.
    config : Config or path, optional
        Its sections ``split``, ``evaluation`` and ``policy``.
    scores : Scoring, optional
        From `evaluate` with the same model, store, split and configuration; by default they are computed.
    found : Relevance, optional
        From `explain`; without it the page has no explanation.

    Returns
    -------
    pathlib.Path
        `out`.

    Raises
    ------
    ConfigError
        If `out` is no HTML file's name.
    LeakageError, ModelError, DatasetError
        As `evaluate`.

    Examples
    --------
    >>> scores, found = eeg2fmri.evaluate(model, store), eeg2fmri.explain(model, store)  # doctest: +SKIP
    >>> eeg2fmri.report(model, store, "report.html", scores=scores, found=found)  # doctest: +SKIP
    """
    from eeg2fmri.pipeline.report import evaluation_report
    from eeg2fmri.tracking import Evidence

    out, given = Path(out), _config(config)
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{out}: a report is an HTML file, its name ends with .html; give another one")
    scores = scores or evaluate(model, store, split, given)
    windows = Windows(recordings_to_score(given, store, split), store.context)
    sure, digest = scores.significance, recordings_digest(windows.recordings)
    people = len({recording.subject for recording in windows.recordings})
    evidence = Evidence("", scores.overall, sure.p_value, sure.smallest_p, people, digest, "", "")
    page, _ = evaluation_report(
        given, model, store, split, (windows, seen_windows(model, store, "train"),
        seen_windows(model, store, "validation")), scores, evidence, found=found,
        unexplained="none was given", lineage={"digest of the recordings": digest},
    )  # fmt: skip
    with written_whole(out) as part:
        part.write_text(page, encoding="utf-8")
    return out


def save_model(model: Bundle, folder: Path | str) -> Path:
    """Write a model as plain files, without pickle; the whole folder or nothing.

    Parameters
    ----------
    model : Bundle
        From `fit` or `load_model`.
    folder : path
        New or empty.

    Returns
    -------
    pathlib.Path
        `folder`.

    Raises
    ------
    ModelError
        If the folder is not empty.
    DiskFullError
        If there is no space left.

    Examples
    --------
    >>> eeg2fmri.save_model(model, "work/linear")  # doctest: +SKIP
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder}: it is not empty, a new or an empty folder is expected; give another one")
    with written_whole(folder) as part:
        part.mkdir()
        serving.save_bundle(part, model)
    return folder


def load_model(folder: Path | str) -> Bundle:
    """Read a model that `save_model` wrote; it synthesises the same volumes.

    Parameters
    ----------
    folder : path
        The folder of `save_model`.

    Returns
    -------
    Bundle

    Raises
    ------
    ModelError
        If there is no model, or it has another format.

    Examples
    --------
    >>> model = eeg2fmri.load_model("work/linear")  # doctest: +SKIP
    """
    use_backend()
    return serving.load_bundle(Path(folder))


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
        clean EEG (channels, samples) in µV, as ``raw.get_data(units="uV")`` gives it.
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
        If `out` is not a NIfTI file's name or missing with `interval`, or the sampling rate is missing or not needed.
    ModelError
        If the model has no interval, with the reason.
    DatasetError
        If the file is missing, damaged, too short, or lacks channels.
    RequestError
        If the array is too short, lacks channels or is not in µV.

    Examples
    --------
    >>> image = eeg2fmri.synthesise(model, "sub-09_task-rest_eeg.vhdr", "sub-09_bold.nii.gz")  # doctest: +SKIP
    >>> raw = mne.io.read_raw("clean.fif").pick(model.signal)  # doctest: +SKIP
    >>> image = eeg2fmri.synthesise(model, raw.get_data(units="uV"), sampling_rate=250.0)  # doctest: +SKIP
    """
    if out is not None:
        serving.check_image_name(Path(out))
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


def _config(given: Settings) -> Config:
    return given if isinstance(given, Config) else load_config(given)


def _changed(config: Config, section: str, **values: Path | str | None) -> Config:
    """Replace settings of a section, unless they are ``None``."""
    given = {key: str(value) for key, value in values.items() if value is not None}
    return config.model_copy(update={section: getattr(config, section).model_copy(update=given)})
