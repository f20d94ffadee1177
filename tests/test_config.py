from pathlib import Path

import pytest
import yaml

from eeg2fmri.config import (
    FAMILIES,
    Calhas2022Config,
    Config,
    LinearConfig,
    MeanConfig,
    find_family,
    flatten,
    load_config,
    parse_overrides,
    variants,
)
from eeg2fmri.errors import ConfigError
from eeg2fmri.models.architectures import with_encoders

# Calhas & Henriques 2022 (arXiv 2203.03481) and its public code.
PUBLISHED = {
    "frequencies": 134,
    "context": 10,
    "dropped_volumes": 3,
    "iqr": False,
    "eeg": {"kernels": ((7, 37, 2), (7, 7, 2)), "strides": ((3, 5, 1), (2, 2, 1)), "pool": (2, 2, 1)},
    "fmri": {
        "kernels": ((14, 6, 12), (6, 4, 6), (12, 47, 5)),
        "strides": ((2, 1, 1), (1, 1, 1), (1, 1, 1)),
        "pool": (2, 2, 2),
    },
    "variant": "tafp-style",
    "latent": (7, 7, 7),
    "filters": 4,
    "dropout": 0.5,
    "weight_decay": 0.0,
    "max_pool": True,
    "batch_norm": True,
    "skip": True,
    "eeg_scaling": "channels",
    "bold_scaling": "recording",
    "learning_rate": 0.002980911194116198,
    "batch_size": 4,
    "epochs": 10,
}


@pytest.fixture
def write(tmp_path):
    def write_yaml(tree):
        path = tmp_path / "c.yaml"
        path.write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree))
        return path

    return write_yaml


def test_defaults_are_the_published_settings():
    config = Config()
    model = config.model(None)
    assert isinstance(model, Calhas2022Config)
    assert (model.eeg, model.fmri) == (None, None)  # derived from the shapes, here the published ones
    built = with_encoders(model, (64, 134, 10), (64, 64, 30))
    found = {**config.data.model_dump(), **built.model_dump(), **model.training.model_dump()}
    for side in ("eeg", "fmri"):
        assert found[side].pop("pool_stride") == (1, 1, 1)
    assert {key: found[key] for key in PUBLISHED} == PUBLISHED


def test_an_empty_file_gives_the_defaults(write):
    assert load_config(write("")) == load_config(None) == Config()


def test_a_file_changes_only_what_it_names(write):
    config = load_config(write({"data": {"context": 8}, "models": [{"family": "linear", "components": 5}]}))
    assert config.data.context == 8
    assert config.data.frequencies == 134
    assert config.models == (LinearConfig(components=5),)


@pytest.mark.parametrize(
    ("tree", "where", "nearest"),
    [
        ({"dat": {}}, "dat", "data"),
        ({"data": {"frequencys": 4}}, "data.frequencys", "frequencies"),
        ({"models": [{"family": "linear"}, {"family": "calhas2022", "filter": 2}]}, "models.1.filter", "filters"),
        (
            {"models": [{"family": "calhas2022", "training": {"learningrate": 1}}]},
            "models.0.training.learningrate",
            "learning_rate",
        ),
        ({"models": [{"family": "calhas2022", "eeg": {"kernel": 1}}]}, "models.0.eeg.kernel", "kernels"),
        ({"simulation": {"subject": 1}}, "simulation.subject", "subjects"),
        ({"search": {"ranges": {"linear": {"component": [1]}}}}, "search.ranges.linear.component", "components"),
    ],
)
def test_an_unknown_key_names_the_nearest(tree, where, nearest, write, refuses):
    with refuses(ConfigError, rf"c\.yaml: unknown key '{where}'; did you mean '{nearest}'\?$"):
        load_config(write(tree))


def test_an_unknown_key_like_no_other_lists_the_valid_ones(refuses):
    with refuses(ConfigError, r"unknown key 'data\.zzz'; valid keys: frequencies, context, dropped_volumes"):
        load_config(None, {"data.zzz": 1})


def test_a_bare_name_is_a_configuration_of_the_package_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("demo") == load_config(Path(__file__).parents[1] / "experiments" / "demo.yaml")
    (tmp_path / "demo").write_text("data: {context: 7}")
    assert load_config("demo").data.context == 7


def test_a_former_name_is_read_with_a_warning(caplog):
    assert load_config(None, {"data.bold_shift": 0}).data.dropped_volumes == 0
    assert "bold_shift is a former name of the setting dropped_volumes; write dropped_volumes" in caplog.text


def test_a_former_name_beside_the_name_is_refused(write, refuses):
    with refuses(ConfigError, "bold_shift is a former name of dropped_volumes, and both are set; remove bold_shift"):
        load_config(write({"data": {"dropped_volumes": 3}}), {"data.bold_shift": 0})


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("data.context", "many", "valid integer"),
        ("data.context", 2.5, "valid integer"),
        ("data.context", 0, "greater than or equal to 1"),
        ("data.dropped_volumes", -1, "greater than or equal to 0"),
        ("data.grid", [64, 64], "Field required"),
        ("data.iqr", "perhaps", "valid boolean"),
        ("data", 3, "valid dictionary"),
        ("simulation", {"tr": float("nan")}, "finite number"),
        ("simulation", {"coupling": 1.5}, "less than or equal to 1"),
        ("split.test", -1, "greater than or equal to 0"),
        ("run.device", "tpu", "'auto', 'cpu' or 'gpu'"),
        ("search.ranges", {"calhas2022": {"dropout": [0.5, 0.1]}}, r"calhas2022: dropout must be \(low, high\)"),
        ("search.ranges", {"linear": {"components": [0]}}, r"linear\.components\.0: .*greater than or equal to 1"),
        ("search.ranges", {"mean": {}}, "family 'mean' has no search"),
        ("search.ranges", {"lineal": {}}, r"family 'lineal' is not known.*did you mean 'linear'\?"),
        ("search.ranges", [1], "must give ranges by family"),
        ("registry.alias", "no spaces", "match pattern"),
        ("models", [], "at least 1 item"),
        ("models", [{"family": "linear"}, {"family": "linear"}], "every variant may appear once"),
        (
            "models",
            [{"family": "lineal"}],
            rf"{', '.join(FAMILIES)} or package\.module.*did you mean 'linear'\?",
        ),
        ("models", [{"family": "calhas2022", "bold_scaling": "volumes"}], "'volume'"),
        ("models", [{"family": "linear", "bands": {"alpha": [13, 8]}}], r"alpha must be \(low, high\) in Hz"),
        ("models", [{"family": "linear", "bands": {}}], "at least 1 item"),
        ("models", [{"family": "calhas2022", "dropout": 1.0}], "less than 1"),
        (
            "models",
            [{"family": "calhas2022", "eeg": {"kernels": [[1, 1, 1]] * 2, "strides": [[1, 1, 1]]}}],
            "2 kernels but 1 strides",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(key, value, reason, refuses):
    with refuses(ConfigError, rf"^the overrides: .*{key}.*{reason}.*\(found "):
        load_config(None, {key: value})


def test_overrides_reach_into_sections_and_lists(write):
    path = write({"models": [{"family": "linear"}, {"family": "calhas2022", "training": {"epochs": 3}}]})
    config = load_config(
        path, {"data.context": 6, "models.1.training.batch_size": 2, "models.0.penalties": [1.0], "split.test": ["02"]}
    )
    assert config.data.context == 6
    assert config.models[0].penalties == (1.0,)
    assert (config.models[1].training.epochs, config.models[1].training.batch_size) == (3, 2)
    assert config.split.test == ("02",)


def test_a_whole_model_of_the_list_can_be_replaced(write):
    path = write({"models": [{"family": "calhas2022"}, {"family": "calhas2022", "variant": "lp"}]})
    assert load_config(path, {"models.1": {"family": "linear"}}).models == (Calhas2022Config(), LinearConfig())


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("models.2.filters", "'2' must be a number from 0 to 0"),
        ("models.first.filters", "'first' must be a number"),
        ("data.context.more", "'context' is a value, not a section"),
        ("data.context.more.still", "'more' is inside a value"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(key, reason, write, refuses):
    path = write({"data": {"context": 3}, "models": [{"family": "calhas2022"}]})
    with refuses(ConfigError, f"override '{key}': {reason}"):
        load_config(path, {key: 1})


def test_an_override_reaches_the_default_models():
    config = load_config(None, {"models.0.training.epochs": 2})
    assert config.models[0].training.epochs == 2
    assert config.models[1] == LinearConfig()


def test_overrides_are_read_from_text():
    text = "run.seed=3; data.iqr = true;models.0.latent=[3, 4, 5];run.experiment=a=b; "
    found = parse_overrides(text)
    assert found == {"run.seed": 3, "data.iqr": True, "models.0.latent": [3, 4, 5], "run.experiment": "a=b"}
    assert parse_overrides(None) == parse_overrides("") == {}


@pytest.mark.parametrize(("text", "reason"), [("run.seed", "KEY=VALUE"), ("=3", "KEY=VALUE"), ("a=[1", "not YAML")])
def test_overrides_that_do_not_read_are_refused(text, reason, refuses):
    with refuses(ConfigError, reason):
        parse_overrides(text)


@pytest.mark.parametrize(
    ("text", "reason"), [("data: [1", "is not YAML"), ("- 1", "mapping of sections, found list"), ("3", "found int")]
)
def test_a_file_that_is_no_configuration_is_refused(text, reason, write, refuses):
    with refuses(ConfigError, rf"c\.yaml.*{reason}"):
        load_config(write(text))


def test_a_missing_file_is_refused(tmp_path, refuses):
    with refuses(ConfigError, r"absent\.yaml cannot be read \(No such file or directory\)"):
        load_config(tmp_path / "absent.yaml")


def test_flatten_gives_dotted_keys_and_keeps_lists():
    tree = {"a": 1, "b": {"c": {"d": [1, 2]}, "e": None}, "models": [{"f": 1}]}
    assert flatten(tree) == {"a": 1, "b.c.d": [1, 2], "b.e": None, "models": [{"f": 1}]}
    assert flatten(tree["b"], "x.") == {"x.c.d": [1, 2], "x.e": None}


def test_flatten_resolves_every_default():
    flat = flatten(Config())
    assert flat["data.frequencies"] == 134
    assert flat["data.grid"] is None
    assert flat["run.gpu_memory_limit"] is None
    assert flatten(Calhas2022Config())["training.learning_rate"] == 0.002980911194116198


def test_a_configuration_survives_yaml(write):
    config = load_config(None, {"data.context": 5, "simulation": {"subjects": 3}})
    assert load_config(write(config.model_dump(mode="json"))) == config


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Config().data.context = 3


@pytest.mark.parametrize("variant", ["lp", "tafp-style-prior"])
def test_an_unlisted_variant_is_derived_from_the_listed_model(variant):
    config = Config(models=(LinearConfig(), Calhas2022Config(filters=2)))
    assert config.model(variant) == Calhas2022Config(filters=2, variant=variant)


def test_the_named_model_is_given_and_the_first_without_a_name():
    config = Config(models=(Calhas2022Config(), LinearConfig(components=3)))
    assert config.model(None).variant == "tafp-style"
    assert config.model("linear") == LinearConfig(components=3)


@pytest.mark.parametrize(("name", "expected"), [("linear", LinearConfig()), ("mean", MeanConfig())])
def test_families_of_one_variant_need_not_be_listed(name, expected):
    assert Config(models=(Calhas2022Config(),)).model(name) == expected
    assert load_config(None, {"models": [{"family": name}]}).models == (expected,)


def test_a_family_is_no_variant(refuses):
    names = [name for family in FAMILIES for name in variants(find_family(family).config)]
    all_of_them = "".join(rf"(?=.*\b{name}\b)" for name in names)
    with refuses(ConfigError, f"variant 'calhas2022' is not known; expected one of {all_of_them}"):
        Config().model("calhas2022")


def test_an_unknown_variant_names_the_nearest(refuses):
    with refuses(ConfigError, r"variant 'tafp-stile' is not known.*did you mean 'tafp-style'\?"):
        Config().model("tafp-stile")


@pytest.mark.parametrize(
    ("given", "labels"),
    [("01, 02", ("01", "02")), (["01"], ("01",)), ([1, 2], ("1", "2")), (3, ("3",)), ("", ()), ([], ())],
)
def test_labels_of_a_dataset_are_a_list_or_a_text(given, labels):
    assert load_config(None, {"dataset.subjects": given}).dataset.subjects == labels


@pytest.mark.parametrize("given", [[True], [1.5], [None], {"a": 1}])
def test_labels_that_are_none_are_refused(given, refuses):
    with refuses(ConfigError, r"dataset\.subjects"):
        load_config(None, {"dataset.subjects": given})


@pytest.fixture
def files(tmp_path):
    """Write several configuration files; a name may lie in a folder."""

    def write_all(**texts):
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write_all


def test_a_file_inherits_section_by_section(files):
    root = files(
        base="data: {context: 8, iqr: true}\nrun: {seed: 5}\nsplit: {test: ['01', '02']}",
        study__base="base: ../base.yaml\ndata: {dropped_volumes: 6}\nsimulation: {subjects: 3}",
        study__one="base: base.yaml\ndata: {context: 9}\nsplit: {test: ['03']}\nsimulation: null",
    )
    config = load_config(root / "study" / "one.yaml")
    assert (config.data.context, config.data.iqr, config.data.dropped_volumes) == (9, True, 6)
    assert config.run.seed == 5
    assert config.split.test == ("03",)  # lists are replaced
    assert config.simulation is None
    assert load_config(root / "study" / "base.yaml").simulation.subjects == 3  # the base is as it was


def test_a_dotted_key_reaches_into_an_inherited_list(files):
    root = files(
        base="models: [{family: calhas2022, filters: 2}, {family: linear}]",
        one="base: base.yaml\nmodels.0.variant: lp\nmodels.0.training: {epochs: 3}",
        two="base: one.yaml\nmodels.0.training.batch_size: 2",
        defaults="models.0.variant: fp",
    )
    first, second = load_config(root / "two.yaml").models
    assert (first.variant, first.filters) == ("lp", 2)
    assert (first.training.epochs, first.training.batch_size) == (3, 2)
    assert second == LinearConfig()
    assert load_config(root / "defaults.yaml").models == (Calhas2022Config(variant="fp"), LinearConfig())


def test_overrides_lie_over_what_is_inherited(files):
    root = files(base="data: {context: 8}", one="base: base.yaml\ndata: {dropped_volumes: 1}")
    config = load_config(root / "one.yaml", {"data.context": 4, "models.1.components": 7})
    assert (config.data.context, config.data.dropped_volumes, config.models[1].components) == (4, 1, 7)


def test_what_a_run_logs_is_resolved(files):
    root = files(base="data: {context: 8}", one="base: base.yaml\ndata: {dropped_volumes: 1}")
    flat = flatten(load_config(root / "one.yaml"))
    assert (flat["data.context"], flat["data.dropped_volumes"], flat["data.frequencies"]) == (8, 1, 134)
    assert "base" not in flat


GOOD = "data: {context: 8}"


@pytest.mark.parametrize(
    ("base", "one", "overrides", "message"),
    [
        ("data: {contxt: 8}", "base: base.yaml", {}, r"base\.yaml: unknown key 'data\.contxt'; did you mean 'context'"),
        (GOOD, "base: base.yaml\ndata: {iqrs: 1}", {}, r"one\.yaml: unknown key 'data\.iqrs'"),
        (GOOD, "base: base.yaml\nmodels.1.component: 1", {}, r"one\.yaml: unknown key 'models\.1\.component'"),
        ("models: [{family: linear, component: 1}]", "base: base.yaml", {}, r"base\.yaml: unknown key 'models\.0\.c"),
        ("data: {context: 0}", "base: base.yaml\ndata: {iqr: true}", {}, r"base\.yaml: data\.context: .*\(found 0\)"),
        ("data: {context: 0}", "base: base.yaml\ndata: {context: -1}", {}, r"one\.yaml: data\.context: .*\(found -1\)"),
        (GOOD, "base: base.yaml\nmodels.7.variant: lp", {}, r"one\.yaml: override 'models\.7\.variant': '7' must be"),
        (GOOD, "base: base.yaml\nmodels: [{}]", {}, r"one\.yaml: models\.0: "),
        (GOOD, "base: base.yaml", {"data.contxt": 1}, r"overrides of .*one\.yaml: unknown key 'data\.contxt'"),
        (GOOD, "base: absent.yaml", {}, r"one\.yaml: base: absent\.yaml cannot be read \(No such file or directory\)"),
        (GOOD, "base: .", {}, r"one\.yaml: base: \. cannot be read"),
        ("data: [1", "base: base.yaml", {}, r"one\.yaml: base: base\.yaml is not YAML"),
        ("- 1", "base: base.yaml", {}, r"one\.yaml: base: base\.yaml must be a mapping of sections, found list"),
        (GOOD, "base: [base.yaml]", {}, r"one\.yaml: base must be the path of a YAML file.*\(found \['base\.yaml'\]\)"),
        (GOOD, "base: ''", {}, r"one\.yaml: base must be the path of a YAML file.*\(found ''\)"),
        (GOOD, "base:", {}, r"one\.yaml: base must be the path of a YAML file.*\(found None\)"),
        ("base: one.yaml", "base: base.yaml", {}, r"base\.yaml: base: one\.yaml closes a circle \(.*one\.yaml → .*b"),
        (GOOD, "base: one.yaml", {}, r"one\.yaml: base: one\.yaml closes a circle"),
    ],
)  # fmt: skip
def test_a_fault_names_the_file_that_holds_it(base, one, overrides, message, files, refuses):
    root = files(base=base, one=one)
    with refuses(ConfigError, rf"^(configuration )?(overrides of )?\S*{message}" if not overrides else message):
        load_config(root / "one.yaml", overrides)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("models.0.training.precision", "float16", "precision"),
        ("models.0.training.schedule", "step", "schedule"),
        ("models.0.training.global_clipnorm", 0, "global_clipnorm"),
        ("models.0.training.final_share", 1.5, "final_share"),
        ("run.backend", "theano", "run.backend"),
        ("run.devices", 0, "run.devices"),
        ("run.store_digest", "ABC", "run.store_digest"),
    ],
)
def test_trainer_settings_that_are_refused(refuses, key, value, match):
    with refuses(ConfigError, match):
        load_config(None, {key: value})


def test_permutations_must_be_able_to_reach_the_level(write, refuses):
    message = "evaluation.permutations: 19 shuffles give no p below 0.05, policy.level is 0.05; at least 20 are needed"
    with refuses(ConfigError, message):
        load_config(write({"evaluation": {"permutations": 19}}))
    for shuffles, level in ((20, 0.05), (19, 0.1)):
        load_config(write({"evaluation": {"permutations": shuffles}, "policy": {"level": level}}))
