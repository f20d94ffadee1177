"""The verb `config`: what it prints is the configuration, whole."""

from pathlib import Path

import pytest
import yaml

from eeg2fmri import cli
from eeg2fmri.config import FAMILIES, Config, all_settings, load_config

DEMO = str(Path(__file__).parents[1] / "experiments" / "demo.yaml")


def test_what_is_printed_is_the_configuration(capsys, tmp_path):
    assert cli.main(["config", "--config", DEMO, "--set", "data.context=7"]) == 0
    path = tmp_path / "printed.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert load_config(path) == load_config(DEMO, {"data.context": 7})


def test_every_setting_is_explained_with_its_value(capsys):
    assert cli.main(["config", "--config", DEMO, "--set", "data.context=7", "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    blocks = [lines[i : i + 3] for i in range(0, len(lines), 3)]
    assert [block[0].split(" = ")[0] for block in blocks] == [setting.key for setting in all_settings(FAMILIES)]
    (context,) = (block for block in blocks if block[0].startswith("data.context"))
    assert context[0] == "data.context = 7"
    default = Config().data.context
    assert context[2].startswith(f"    whole number at least 1 [TR]; default: {default}; source: ")


@pytest.mark.parametrize("explain", [[], ["--explain"]])
def test_a_wrong_setting_is_refused(explain, capsys):
    assert cli.main(["config", "--set", "data.contxt=7", *explain]) == 2
    assert "unknown key 'data.contxt'; did you mean 'context'?" in capsys.readouterr().err


def test_yaml_keeps_every_kind_of_value(capsys):
    cli.main(["config"])
    assert yaml.safe_load(capsys.readouterr().out) == Config().model_dump(mode="json")
