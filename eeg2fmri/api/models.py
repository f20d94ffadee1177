"""Functions that make, keep and bring back a model."""

from __future__ import annotations

from pathlib import Path

from eeg2fmri import serving
from eeg2fmri.api.settings import Settings, config_of
from eeg2fmri.devices import use_backend
from eeg2fmri.errors import ModelError
from eeg2fmri.families import FitSettings, OnEpoch
from eeg2fmri.families import fit as fit_family
from eeg2fmri.files import written_whole
from eeg2fmri.serving import Bundle
from eeg2fmri.store import Store, Windows, check_digest, split_store


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
    given = config_of(config)
    chosen = given.model(variant)
    check_digest(store, given.run.store_digest)
    split = split_store(store, given.split)
    use_backend(given.run.backend, deterministic=given.run.deterministic)
    train, validation = (Windows(store.of(part), store.context) for part in (split.train, split.validation))
    result = fit_family(chosen, train, validation, FitSettings.of(given), on_epoch)
    return Bundle.of(result, store, split, given.evaluation.drift_cutoff)


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
        If there is no model, it is damaged, or it has another format.

    Examples
    --------
    >>> model = eeg2fmri.load_model("work/linear")  # doctest: +SKIP
    """
    use_backend()
    return serving.load_bundle(Path(folder))
