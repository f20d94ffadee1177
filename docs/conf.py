"""How Sphinx builds the site: ``make docs``. Two pages are made here, so that no copy of them can grow old."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from settings_page import settings_page  # noqa: E402

import eeg2fmri  # noqa: E402

project = "eeg2fmri"
release = version = eeg2fmri.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb"]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "eeg2fmri"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["custom.css"]
default_role = "py:obj"  # `name` in a docstring leads to what it names
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # the figures of the tutorial are those of this very code
nb_execution_raise_on_error = True
nb_execution_timeout = 600
numpydoc_show_class_members = False
autodoc_typehints = "none"  # the signature of a numeric function is long enough without; types stand in the text
autodoc_member_order = "bysource"

GENERATED = HERE / "_generated"
GENERATED.mkdir(exist_ok=True)
(GENERATED / "settings.md").write_text(settings_page(), encoding="utf-8")
for name in ("tutorial.ipynb", "tutorial.yaml", "base.yaml"):
    shutil.copyfile(HERE.parent / "experiments" / name, GENERATED / name)

FACT = re.compile(r"(?:^|(?<=\S)  )((?:\w+, )*\w+): ")


def facts_as_fields(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Show each fact of a class (``name: text.``, several on a line with two spaces between) on a line of its own."""
    if what != "class":
        return
    shown, in_field = [], False
    for line in lines:
        starts = FACT.match(line) is not None
        in_field = starts or (in_field and line != "")
        text = line if starts or not in_field else f"  {line.strip()}"
        shown += FACT.sub(r"\n:\1: ", text).strip("\n").split("\n") if in_field else [line]
    lines[:] = shown


def setup(app: Any) -> None:
    """Register the above; before numpydoc, which has the usual priority of 500."""
    app.connect("autodoc-process-docstring", facts_as_fields, priority=400)
