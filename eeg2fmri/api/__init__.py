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

from eeg2fmri.api.data import inspect, preprocess
from eeg2fmri.api.evidence import evaluate, explain, figures, report
from eeg2fmri.api.models import fit, load_model, save_model
from eeg2fmri.api.use import adapt, classify, synthesise

__all__ = [
    "adapt",
    "classify",
    "evaluate",
    "explain",
    "figures",
    "fit",
    "inspect",
    "load_model",
    "preprocess",
    "report",
    "save_model",
    "synthesise",
]
