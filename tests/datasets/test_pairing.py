"""Which EEG belongs to which BOLD, by names alone."""

import pytest

from eeg2fmri.config import DatasetConfig, load_config
from eeg2fmri.datasets import find_recordings as find
from eeg2fmri.datasets import list_recordings
from eeg2fmri.errors import ConfigError, DatasetError


@pytest.fixture
def tree(tmp_path):
    """Empty files of subject 01: EEG and BOLD by what stands between ``sub-01_`` and the suffix."""

    def make(eeg=(), bold=(), ending="vhdr"):
        for kind, names, tail in (("eeg", eeg, f"eeg.{ending}"), ("func", bold, "bold.nii.gz")):
            for name in names:
                path = tmp_path / "bids" / "sub-01" / kind / f"sub-01_{name}_{tail}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return tmp_path / "bids"

    return make


def pairs(root, **settings):
    """BOLD of each recording, by the recording's name without the subject; and the reasons by file."""
    recordings, skipped, *_ = list_recordings(root, DatasetConfig(**settings))
    return (
        {r.name.removeprefix("sub-01_"): inner(r.bold_path) for r in recordings},
        {inner(item.path): item.reason for item in skipped},
    )


def inner(path):
    return path.name.removeprefix("sub-01_").rsplit("_", 1)[0]


@pytest.mark.parametrize("entity", ["acq", "ce", "dir", "rec"])
def test_the_crossed_case_pairs_what_is_alike(entity, tree):
    root = tree([f"task-rest_{entity}-std"], [f"task-rest_{entity}-mb", f"task-rest_{entity}-std"])
    found, skipped = pairs(root)
    assert found == {f"task-rest_{entity}-std": f"task-rest_{entity}-std"}
    assert skipped == {f"task-rest_{entity}-mb": f"BOLD without EEG of the same {entity} (there: {entity}-std)"}


def test_what_one_modality_alone_uses_does_not_stand_in_the_way(tree):
    root = tree(["task-rest_run-1", "task-rest_run-2"], ["task-rest_dir-AP_run-01", "task-rest_dir-PA_run-02"])
    assert pairs(root) == (
        {"task-rest_run-1": "task-rest_dir-AP_run-01", "task-rest_run-2": "task-rest_dir-PA_run-02"},
        {},
    )


def test_several_bold_files_that_fit_are_refused_and_a_filter_chooses(tree):
    root = tree(["task-rest"], ["task-rest_acq-a", "task-rest_acq-b"])
    found, skipped = pairs(root)
    assert found == {}
    names = "sub-01_task-rest_acq-a_bold.nii.gz, sub-01_task-rest_acq-b_bold.nii.gz"
    assert skipped["task-rest"] == f"2 BOLD files fit it ({names}); choose one, e.g. dataset.entities={{acq: a}}"
    assert set(skipped) == {"task-rest", "task-rest_acq-a", "task-rest_acq-b"}
    assert pairs(root, entities={"acq": "b"}) == ({"task-rest": "task-rest_acq-b"}, {})


def test_the_one_line_error_names_the_way_out(tree, refuses):
    root = tree(["task-rest"], ["task-rest_acq-a_dir-AP", "task-rest_acq-b_dir-PA"])
    with refuses(DatasetError, r"acq-a_dir-AP_bold.nii.gz, .*acq-b_dir-PA.*dataset\.entities=\{acq: a, dir: AP\}"):
        find(root)


def test_several_eeg_files_that_fit_one_bold_are_refused(tree):
    found, skipped = pairs(tree(["task-rest_acq-a", "task-rest_acq-b"], ["task-rest"]))
    assert found == {}
    assert "fits it as well as sub-01_task-rest_acq-b_eeg.vhdr" in skipped["task-rest_acq-a"]
    assert "2 EEG files fit it" in skipped["task-rest"]


def test_equal_names_pair_beside_a_file_with_more_entities(tree):
    found, skipped = pairs(tree(["task-rest"], ["task-rest", "task-rest_acq-mb"]))
    assert found == {"task-rest": "task-rest"}
    assert "BOLD without EEG" in skipped["task-rest_acq-mb"]


def test_two_names_of_one_run_are_refused(tree):
    found, skipped = pairs(tree(["task-rest_run-1"], ["task-rest_run-1", "task-rest_run-01"]))
    assert found == {}
    assert "several BOLD files of one run (" in skipped["task-rest_run-01"]


def test_an_entity_chooses_only_where_it_is_used(tree):
    root = tree(["task-rest", "task-video"], ["task-rest_acq-a", "task-rest_acq-b", "task-video"])
    assert pairs(root, entities={"acq": ["acq-A"]})[0] == {"task-rest": "task-rest_acq-a", "task-video": "task-video"}


def test_entities_are_set_by_dotted_keys():
    config = load_config(None, {
        "dataset.entities": {"acq": "std", "dir": ["AP", 1]}, "dataset.task_alias.ECON": "EC", "dataset.echo": 2
    })  # fmt: skip
    assert config.dataset.entities == {"acq": ("std",), "dir": ("AP", "1")}
    assert (config.dataset.task_alias, config.dataset.echo) == ({"ECON": "EC"}, 2)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"entities": {"acq": "stt"}}, r"dataset\.entities\.acq: 'stt' matches nothing in .*; did you mean 'std'\?"),
        ({"entities": {"ce": "x"}}, r"dataset\.entities\.ce: 'x' matches nothing in .*; there: none"),
        ({"task_alias": {"rset": "rest"}}, r"dataset\.task_alias.* EEG .*'rset' matches nothing in .*mean 'rest'"),
        ({"task_alias": {"rest": "rst"}}, r"dataset\.task_alias.* BOLD .*'rst' matches nothing in .*mean 'rest'"),
        ({"echo": 2}, r"dataset\.echo: 2 is set, but no BOLD file in .* has one"),
        ({"echo": "combine"}, r"dataset\.echo: 'combine' is set"),
        ({"part": "phase"}, r"dataset\.part: 'phase' matches nothing in .*; there: mag"),
    ],
)
def test_a_choice_that_matches_nothing_is_refused(settings, reason, tree, refuses):
    root = tree(["task-rest_acq-std"], ["task-rest_acq-std"])
    with refuses(DatasetError, reason):
        list_recordings(root, DatasetConfig(**settings))


@pytest.mark.parametrize(
    ("value", "reason"),
    [({"run": 1}, r"run is chosen by dataset\.runs"), ({"acq": []}, r"acq has no label")],
)
def test_entities_with_another_setting_are_refused(value, reason, refuses):
    with refuses(ConfigError, reason):
        load_config(None, {"dataset.entities": value})


# --- tasks of two names ----------------------------------------------------------------------


def test_tasks_of_different_names_pair_by_their_alias(tree):
    root = tree(["task-ECON_run-1", "task-GRADON", "task-EC_run-1"], ["task-EC_run-01", "task-GRAD"])
    alias = {"ECON": "EC", "gradon": "GRAD"}
    found, skipped = pairs(root, task_alias=alias)
    assert found == {"task-ECON_run-1": "task-EC_run-01", "task-GRADON": "task-GRAD"}
    assert skipped == {"task-EC_run-1": "EEG without BOLD"}
    for asked in ("GRADON", "GRAD"):
        assert pairs(root, task_alias=alias, tasks=[asked])[0] == {"task-GRADON": "task-GRAD"}


def test_two_eeg_tasks_of_one_bold_are_refused(tree):
    found, skipped = pairs(tree(["task-a", "task-b"], ["task-c"]), task_alias={"a": "c", "b": "c"})
    assert found == {}
    assert set(skipped) == {"task-a", "task-b", "task-c"}


# --- echoes and parts ------------------------------------------------------------------------

ECHOES = [f"task-rest_echo-{echo}" for echo in (1, 2, 3)]


def test_echoes_are_refused_unless_one_is_chosen(tree, refuses):
    root = tree(["task-rest"], ECHOES)
    with refuses(
        DatasetError, r"3 echoes of one run \(.*echo-3.*\); choose one with dataset\.echo=1, or dataset\.echo=comb"
    ):
        find(root)
    found, skipped = pairs(root, echo=2)
    assert found == {"task-rest": "task-rest_echo-2"}
    assert skipped == {name: "echo 2 is used (dataset.echo)" for name in (ECHOES[0], ECHOES[2])}
    with refuses(DatasetError, r"dataset\.echo: '4' matches nothing"):
        find(root, DatasetConfig(echo=4))


def test_echoes_to_be_combined_are_files_of_the_recording(tree):
    root = tree(["task-rest"], ECHOES)
    (recording,), skipped = find(root, DatasetConfig(echo="combine"))
    assert [inner(echo.path) for echo in recording.echoes] == ECHOES
    assert {inner(path) for path in recording.files if path.name.endswith(".nii.gz")} == set(ECHOES)
    assert skipped == []


def test_a_run_without_that_echo_is_listed(tree):
    root = tree(["task-rest", "task-video"], [*ECHOES, "task-video_echo-1", "task-video_echo-2"])
    found, skipped = pairs(root, echo=3)
    assert found == {"task-rest": "task-rest_echo-3"}
    assert skipped["task-video_echo-1"] == "no echo 3 (there: 1, 2); set dataset.echo"


def test_phase_is_never_taken_for_magnitude(tree):
    root = tree(["task-rest", "task-video"], ["task-rest_part-phase", "task-rest_part-mag", "task-video_part-phase"])
    found, skipped = pairs(root)
    assert found == {"task-rest": "task-rest_part-mag"}
    phase = "part-phase, but part-mag is used; dataset.part=phase chooses it"
    assert skipped == {"task-rest_part-phase": phase, "task-video_part-phase": phase, "task-video": "EEG without BOLD"}
    assert pairs(root, part="phase")[0] == {t: f"{t}_part-phase" for t in ("task-rest", "task-video")}


# --- versions of one file --------------------------------------------------------------------


def test_one_name_in_two_formats_is_one_recording(tree):
    tree(["task-rest"], ["task-rest"], ending="set")
    root = tree(["task-rest"], ending="vhdr")
    (recording,), (other,) = find(root)
    assert recording.eeg_path.suffix == ".vhdr"
    assert (other.path.suffix, other.reason) == (
        ".set", "a duplicate of sub-01_task-rest_eeg.vhdr, which is read (one name in two formats)")  # fmt: skip


def derived(root, *names):
    for name in names:
        path = root / "derivatives" / "made" / "sub-01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_several_derivatives_of_one_run_are_refused_and_one_is_chosen(tree):
    names = [f"eeg/sub-01_task-rest_desc-{step}_eeg.set" for step in ("clean", "raw")]
    root = derived(tree(["task-rest"], ["task-rest"]), *names)
    found, skipped = pairs(root, eeg="made")
    assert found == {}
    assert (
        "desc-clean_eeg.set, sub-01_task-rest_desc-raw_eeg.set); choose one, e.g. dataset.entities={desc: clean}"
        in (skipped["task-rest_desc-clean"])
    )
    (recording,), _ = find(root, DatasetConfig(eeg="made", entities={"desc": "raw"}))
    assert recording.eeg_path.name == "sub-01_task-rest_desc-raw_eeg.set"


def test_resolutions_and_spaces_of_a_derivative_are_chosen(tree):
    base = "func/sub-01_task-rest_space-{}_desc-preproc_bold.nii.gz"
    spaces = ("MNI152NLin2009cAsym_res-1", "MNI152NLin2009cAsym_res-2", "T1w")
    root = derived(tree(["task-rest"]), *map(base.format, spaces))
    assert pairs(root, bold="made")[0] == {}
    assert pairs(root, bold="made", entities={"res": 2})[0]["task-rest"].endswith("res-2_desc-preproc")
    (recording,), _ = find(root, DatasetConfig(bold="made", entities={"space": "T1w"}))
    assert recording.space == "T1w"


def test_another_step_of_bold_is_listed_and_can_be_chosen(tree):
    root = derived(tree(["task-rest"]), "func/sub-01_task-rest_space-MNI152NLin2009cAsym_desc-smooth_bold.nii.gz")
    assert "BOLD with desc-smooth, not desc-preproc" in pairs(root, bold="made")[1].values()
    assert "task-rest" in pairs(root, bold="made", entities={"desc": "smooth"})[0]


# --- nothing vanishes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("EEG/EEG_data_sub-01_run-01.mat", r"EEG in a format that is not read (.mat)"),
        ("eeg/sub-01_task-rest_eeg.cnt", r"EEG in a format that is not read (.cnt)"),
        ("eeg/sub-01_task-rest_eeg.mff", r"EEG in a format that is not read (.mff)"),
        ("eeg/sub-01_task-alone_eeg.eeg", r"EEG in a format that is not read (.eeg)"),
        ("eeg/sub-01_NF4.vhdr", r"named 'nf4', '_eeg' is expected"),
        ("eeg/sub-01_task-rest_split-01_eeg.fif", r"split over several files"),
        ("func/sub-01_task-rest_bold_old.nii.gz", r"named 'bold_old', '_bold' is expected"),
    ],
)
def test_what_cannot_be_read_is_named(name, reason, tree):
    root = tree(["task-rest"], ["task-rest"])
    path = root / "sub-01" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    recordings, skipped = find(root)
    assert [r.name for r in recordings] == ["sub-01_task-rest"]
    assert [(s.path, reason in s.reason) for s in skipped] == [(path, True)]


def test_a_stray_derivative_of_xp2_is_listed(tree):
    root = tree(bold=["task-1dNF"])
    path = root / "derivatives/sub-xp220/eeg_pp/d_sub-xp220_NF4_eeg_pp.vhdr"
    path.parent.mkdir(parents=True)
    path.touch()
    skipped = list_recordings(root, DatasetConfig(name="xp2"))[1]
    assert (path, "named 'nf4_eeg_pp'") in [(s.path, s.reason.split(",")[0]) for s in skipped]
