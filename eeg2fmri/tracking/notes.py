"""Descriptions in Markdown for MLflow's pages; a person's own text there is kept."""

from __future__ import annotations

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

NOTE_TAG = "mlflow.note.content"
# First line of automatic descriptions, which distinguishes them from a person's own.
TITLE = "**EEG to fMRI.**"
HOW_TO_READ = """
**How to read it.** `r2_temporal` is the share of the BOLD fluctuations of unseen subjects that a model explains.
Compare it with its nulls: the mean volume (exactly 0), the same model with EEG of the wrong time (shuffled EEG), and
what arousal, motion, pulse or task explain alone. The gate's policy lists those that a champion exceeds.
A `main` run holds one whole job, its children are the steps.
"""


def describe_experiment(experiment_id: str, text: str = "") -> None:
    """Describe an experiment: `text`, and how to read it; without `text` only if it has no description yet.

    MLflow shows only the first line until the description is opened, so `text` starts with the main result.
    """
    client = mlflow.MlflowClient()
    present = client.get_experiment(experiment_id).tags.get(NOTE_TAG, "")
    if _is_ours(present) and (text or not present):
        note = f"{TITLE} {text}\n{HOW_TO_READ}"
        try:
            client.set_experiment_tag(experiment_id, NOTE_TAG, note)
        except MlflowException:  # another process has just written the first one; the second try changes it
            client.set_experiment_tag(experiment_id, NOTE_TAG, note)


def describe_model(name: str, text: str = "") -> None:
    """Describe a registered model, as `describe_experiment` does an experiment."""
    client = mlflow.MlflowClient()
    present = client.get_registered_model(name).description or ""
    if _is_ours(present) and (text or not present):
        client.update_registered_model(name, f"{TITLE} {text}\n{HOW_TO_READ}")


def describe_version(version: ModelVersion, text: str) -> None:
    """Describe a version of a registered model, its logged model and its run by the last scores."""
    client = mlflow.MlflowClient()
    client.update_model_version(version.name, version.version, text)
    if version.run_id:
        client.set_tag(version.run_id, NOTE_TAG, text)
    model_id = mlflow.models.get_model_info(f"models:/{version.name}/{version.version}").model_id
    client.set_logged_model_tags(model_id, {NOTE_TAG: text})


def _is_ours(text: str) -> bool:
    return not text or text.startswith(TITLE)
