"""Fitting the factorised family on windows."""

import numpy as np
import pytest

from eeg2fmri.config import FactorisedConfig, RecordingTraining
from eeg2fmri.errors import DivergenceError, ModelError
from eeg2fmri.families import FitSettings, fit
from eeg2fmri.store import Windows
from tests.fakes import CONTEXT
from tests.fakes import recording as early

SMALL = {"components": 5, "sources": 2, "hidden": 4, "drift_cutoff": 6.0}


def recording(subject, seed, **options):
    """A recording whose BOLD follows at the first window of the context, where the response is strongest."""
    made = early(subject, seed, **options)
    made.group["volumes"] = np.roll(made.group["volumes"], 1, axis=0)
    return made


def config(epochs=3, **changes):
    training = RecordingTraining(epochs=epochs, learning_rate=1e-3, patience=10)
    return FactorisedConfig(**{**SMALL, "training": training, **changes})


@pytest.fixture(scope="module")
def parts():
    train = [recording(f"sub-0{n}", n, windows=60) for n in (1, 2, 3)]
    train.append(recording("sub-03", 8, windows=30, run=2))
    return Windows(train, CONTEXT), Windows([recording("sub-04", 4, windows=60)], CONTEXT)


@pytest.mark.slow
def test_explains_what_is_planted_and_nothing_where_nothing_is(parts):
    result = fit(config(), *parts, FitSettings())
    assert result.history["val/r2_temporal"][result.best_epoch] > 0.3
    nothing = [recording(f"sub-0{n}", n, windows=60, coupling=0.0) for n in (1, 2, 3, 4)]
    null = fit(config(), Windows(nothing[:3], CONTEXT), Windows(nothing[3:], CONTEXT), FitSettings())
    assert null.history["val/r2_temporal"][null.best_epoch] < 0.1


@pytest.mark.slow
def test_epoch_zero_is_the_closed_form_and_the_best_epoch_is_kept(parts):
    seen = []
    result = fit(config(epochs=2), *parts, FitSettings(), lambda epoch, *_: seen.append(epoch))
    assert seen == [0, 1, 2]
    validation = parts[1]
    rows = np.arange(len(validation))
    again = fit(config(epochs=2), *parts, FitSettings())
    np.testing.assert_allclose(
        again.model.synthesise(validation.eeg(rows)), result.model.synthesise(validation.eeg(rows)), rtol=1e-5
    )
    assert result.facts["start_r2_temporal"] == result.history["val/r2_temporal"][0]


def test_training_lowers_the_loss(parts):
    losses = fit(config(epochs=8, dropout=0.0), *parts, FitSettings()).history["train/loss"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_a_stopped_fit_goes_on_as_if_never_stopped(parts, tmp_path):
    whole = fit(config(epochs=4), *parts, FitSettings())

    def stop(epoch, *_):
        if epoch == 2:
            raise KeyboardInterrupt

    settings = FitSettings(checkpoints=tmp_path, key="k")
    with pytest.raises(KeyboardInterrupt):
        fit(config(epochs=4), *parts, settings, stop)
    resumed = fit(config(epochs=4), *parts, settings)
    for name, values in whole.history.items():
        np.testing.assert_allclose(resumed.history[name], values, rtol=1e-5, err_msg=name)


def test_a_checkpoint_of_another_configuration_is_refused(parts, tmp_path, refuses):
    fit(config(epochs=1), *parts, FitSettings(checkpoints=tmp_path, key="k"))
    with refuses(ModelError, "another configuration"):
        fit(config(epochs=1), *parts, FitSettings(checkpoints=tmp_path, key="other"))


@pytest.mark.slow
def test_a_refit_takes_everyone_and_the_best_epochs(parts):
    options = config(epochs=2, hidden=0, dropout=0.0)
    once, again = (fit(options.model_copy(update={"refit": refit}), *parts) for refit in (False, True))
    assert (once.refitted, again.refitted) == (False, True)
    assert again.history == once.history
    everyone = Windows([*parts[0].recordings, *parts[1].recordings], CONTEXT)
    stranger = Windows([recording("sub-05", 5, windows=60)], CONTEXT)
    expected = fit(options, everyone, stranger)
    assert expected.best_epoch == again.best_epoch == 2, "else the test says nothing"
    eeg = stranger.eeg(np.arange(9))
    np.testing.assert_allclose(again.model.synthesise(eeg), expected.model.synthesise(eeg), rtol=1e-4)


def test_noisy_recordings_count_for_less(parts):
    """A recording of noise ten times as large hardly changes the fit."""
    loud = recording("sub-06", 6, windows=60, coupling=0.0)
    middle = loud.group["volumes"].mean(axis=0)
    loud.group["volumes"] = middle + 10 * (loud.group["volumes"] - middle)
    options = config(epochs=1, hidden=0)
    eeg = parts[1].eeg(np.arange(len(parts[1])))
    quiet, disturbed = (
        fit(options, Windows(train, CONTEXT), parts[1]).model.synthesise(eeg)
        for train in (parts[0].recordings, [*parts[0].recordings, loud])
    )
    changes = [made - made.mean(axis=0) for made in (quiet, disturbed)]
    assert np.corrcoef(*(change.ravel() for change in changes))[0, 1] > 0.9


def test_a_training_that_diverges_is_refused(parts, refuses):
    training = RecordingTraining(epochs=2, learning_rate=1e30)
    with refuses(DivergenceError, r"after epoch [12]: synthesised holds NaN .* Lower training\.learning_rate"):
        fit(config(hidden=0, training=training), *parts, FitSettings())
