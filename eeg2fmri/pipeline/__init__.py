"""The steps of the job as tracked runs, and the whole job as one parent run."""

from eeg2fmri.pipeline.adapt import adapt_step
from eeg2fmri.pipeline.classify import classify_step
from eeg2fmri.pipeline.compare import compare_step
from eeg2fmri.pipeline.crossval import crossval_step
from eeg2fmri.pipeline.data import preprocess_step, simulate_step
from eeg2fmri.pipeline.evaluate import evaluate_step
from eeg2fmri.pipeline.main import main_job
from eeg2fmri.pipeline.promote import promote_step, rollback_step
from eeg2fmri.pipeline.train import train_step

__all__ = [
    "adapt_step",
    "classify_step",
    "compare_step",
    "crossval_step",
    "evaluate_step",
    "main_job",
    "preprocess_step",
    "promote_step",
    "rollback_step",
    "simulate_step",
    "train_step",
]
