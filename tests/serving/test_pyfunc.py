"""The MLflow model: refusals that MLflow's server can pass on, nothing leaked, many threads at once."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from eeg2fmri.errors import ConfigError
from eeg2fmri.serving import pyfunc
from eeg2fmri.serving.arrays import encode
from eeg2fmri.serving.pyfunc import SynthesiserModel
from tests.fakes import GRID, SAMPLING_RATE
from tests.served import in_brain
from tests.serving.test_requests import FAULTS, W, volumes_of


@pytest.fixture(scope="module")
def models(folders):
    served = {}
    for family, folder in folders.items():
        served[family] = SynthesiserModel()
        served[family].load_context(SimpleNamespace(artifacts={"bundle": str(folder)}, model_config=None))
    return served


@pytest.fixture
def model(models):
    return models["linear"]


def refusal(model, *args, **kwargs):
    with pytest.raises(MlflowException) as caught:
        model.predict(*args, **kwargs)
    return caught.value


def check_short(message):
    assert len(message) < 300
    assert "\n" not in message
    assert "Traceback" not in message
    assert "site-packages" not in message


@pytest.mark.parametrize("family", ["deep", "linear", "mean"])
def test_answers_every_record_in_order(models, bundles, family, windows, eeg):
    records = [
        {"windows_npy": encode(windows)},
        {"eeg": eeg.astype(float).tolist(), "sampling_rate": SAMPLING_RATE},
        {"windows": windows[:1].astype(float).tolist()},
    ]
    replies = models[family].predict(records)
    assert [reply["shape"] for reply in replies] == [[2, *GRID], [3, *GRID], [1, *GRID]]
    np.testing.assert_array_equal(volumes_of(replies[0]), in_brain(bundles[family], windows))
    np.testing.assert_allclose(volumes_of(replies[2]), volumes_of(replies[0])[:1], rtol=1e-6)


@pytest.mark.parametrize("fault", FAULTS)
def test_refuses_with_the_reason_and_nothing_else(model, fault):
    err = refusal(model, [FAULTS[fault][0]])
    assert err.error_code == "INVALID_PARAMETER_VALUE"
    assert err.get_http_status_code() == 400
    check_short(err.message)
    check_short(str(err))


def test_one_bad_record_among_good_ones(model):
    err = refusal(model, [{"windows": W.tolist()}, {"windows": W.tolist(), "channel": "Cz"}])
    assert err.error_code == "INVALID_PARAMETER_VALUE"
    assert "channel" in err.message


def test_no_records(model):
    err = refusal(model, [])
    assert err.error_code == "INVALID_PARAMETER_VALUE"
    assert "inputs: an empty list" in err.message


def test_options_and_limits_arrive(folders):
    model = SynthesiserModel()
    context = SimpleNamespace(artifacts={"bundle": str(folders["linear"])}, model_config={"max_windows": 1})
    model.load_context(context)
    (reply,) = model.predict([{"windows": W.tolist()}], params={"reply": "json"})
    assert "volumes" in reply
    assert "serving.max_windows" in refusal(model, [{"windows": W.tolist()}] * 2).message
    context.model_config = {"max_window": 1}
    with pytest.raises(ConfigError, match="did you mean 'max_windows'"):
        SynthesiserModel().load_context(context)


def test_data_is_not_echoed(model):
    secret = "c2VjcmV0" * 40
    for record in (
        {"windows_npy": secret},
        {"eeg_npy": secret, "sampling_rate": 1},
        {secret: 1},
        {"sampling_rate": secret},
    ):
        message = refusal(model, [record]).message
        assert secret not in message
        check_short(message)


def test_message_survives_the_servers_prefix():
    err = pyfunc.Refusal("the reason", error_code=1000)
    err.message = f"Failed to predict data '{'9' * 5000}'. \nError: the reason"
    assert err.message == "the reason"
    assert "999" not in err.serialize_as_json()


def test_internal_error_is_caught_and_logged(model, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("/home/someone/private")

    monkeypatch.setattr(pyfunc, "answer", broken)
    err = refusal(model, [{"windows": W.tolist()}])
    assert err.error_code == "INTERNAL_ERROR"
    assert err.message == "internal error: KeyError"
    assert "private" in caplog.text


@pytest.mark.parametrize("family", ["deep", "linear"])
def test_eight_threads_give_what_one_gives(models, family, rng):
    records = [{"windows_npy": encode(rng.gamma(2, 1, (1 + n % 3, *W.shape[1:])))} for n in range(32)]
    serial = [volumes_of(models[family].predict([record])[0]) for record in records]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(lambda record: volumes_of(models[family].predict([record])[0]), records))
    for one, other in zip(serial, parallel, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6)


@pytest.mark.parametrize("serves", [True, False])
def test_only_the_process_of_a_server_returns_freed_memory(folders, monkeypatch, serves):
    variable = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"
    monkeypatch.setenv(variable, "")  # so that it is restored
    monkeypatch.delenv(variable)
    command, _ = scoring_server.get_cmd("model", port=1, host="127.0.0.1")
    (module,) = [word.removesuffix(":app") for word in command.split() if word.endswith(":app")]
    monkeypatch.delitem(sys.modules, module, raising=False)
    if serves:
        monkeypatch.setitem(sys.modules, module, scoring_server)
    SynthesiserModel().load_context(SimpleNamespace(artifacts={"bundle": str(folders["mean"])}, model_config=None))
    assert os.environ.get(variable) == ("1" if serves else None)
