"""Descriptions of an experiment: written anew, unless a person has written one."""

from __future__ import annotations

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from eeg2fmri.tracking import describe_experiment, tracked_run
from eeg2fmri.tracking.notes import NOTE_TAG, TITLE


@pytest.fixture
def experiment(tracking):
    with tracked_run("main", experiment="tests") as log:
        log.describe("A run.")
    assert mlflow.get_run(log.run_id).data.tags[NOTE_TAG] == "A run."
    return log.experiment_id


def note(experiment: str) -> str:
    return mlflow.get_experiment(experiment).tags[NOTE_TAG]


def test_a_new_experiment_says_how_to_read_it(experiment):
    assert note(experiment).startswith(TITLE)
    assert "r2_temporal" in note(experiment)


def test_news_come_first_and_stay_until_there_are_others(experiment):
    describe_experiment(experiment, "Champion: version 2.")
    assert note(experiment).startswith(f"{TITLE} Champion: version 2.\n")
    describe_experiment(experiment)
    assert "version 2" in note(experiment)
    describe_experiment(experiment, "Champion: version 3.")
    assert "version 2" not in note(experiment)


def test_the_words_of_a_person_stay(experiment):
    mlflow.MlflowClient().set_experiment_tag(experiment, NOTE_TAG, "Pilot data, do not publish.")
    describe_experiment(experiment, "Champion: version 2.")
    assert note(experiment) == "Pilot data, do not publish."


def test_two_commands_may_write_the_first_description_at_once(tracking, monkeypatch):
    """On PostgreSQL the later one of two first writes meets the row of the other."""
    write, first = mlflow.MlflowClient.set_experiment_tag, []

    def later(client, experiment, key, value):
        if not first:
            first.append(write(client, experiment, key, value))
            raise MlflowException("duplicate key value violates unique constraint")
        write(client, experiment, key, value)

    experiment = mlflow.create_experiment("fresh")
    monkeypatch.setattr(mlflow.MlflowClient, "set_experiment_tag", later)
    describe_experiment(experiment, "Champion: version 2.")
    assert "version 2" in note(experiment)
