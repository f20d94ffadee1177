"""Plain English in docstrings and messages: see "Words" in CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import eeg2fmri

PACKAGE = Path(eeg2fmri.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

LONGEST = 20  # words of a sentence in a message
NO_SENTENCES = ("Fp1 Fp2 ",)  # beginnings of lists: the electrodes of a cap
FORBIDDEN = re.compile(
    r"\b(told|tells?|tell|mend(s|ed|ing)?|thrice|dear(er|est)|anew|lest|whichever|whatever|whilst|wherein|thereof|thus"
    r"|likewise|save for|but for|cannot be had|(is|are) (not )?to be|should (it|they)|were (it|they)|heart alone"
    r"|goes? on|went on|lies? (beside|there|apart)|whose \w+( \w+){0,6} whose)\b",
    re.IGNORECASE,
)
# The first words of a function's docstring: the imperative. A new verb joins the list.
VERBS = re.findall(
    r"\w+",
    """
    add align answer append apply ask assign average bind blur bring build bundle call check choose classify close
    collect combine compare compute convert copy correct count create cut decode decompress describe digest
    divide do download draw drop end estimate evaluate expect explain find finish fit flatten follow forget
    generate get give group hold import install invert iterate join keep label let link list load log look make
    map mark mask match measure merge move multiply name normalise note open order pack pair parse place plot
    predict prepare preprocess print promote put raise rank read record refuse register remove rename render
    repair replace report resample resolve restore return revert round run save say scale score search select
    send serve set settle shift shorten show shuffle simulate smooth sort split standardise start stop store subtract
    sum summarise survey switch synthesise take test time train transform translate turn undo update use
    validate wait walk warn weigh wrap write yield zero
    """,
)


Found = Iterator[tuple[int, str]]  # line and text


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _docstrings(path: Path) -> Iterator[tuple[ast.AST, ast.Constant]]:
    """Yield each docstring with its module, class or function; a setting's docstring with itself."""
    for node in ast.walk(_tree(path)):
        body = getattr(node, "body", None)
        for place, part in enumerate(body if isinstance(body, list) else ()):
            text = getattr(part, "value", None)
            if isinstance(part, ast.Expr) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield (part if place else node), text


def _messages(path: Path) -> Found:
    """Yield every string that may be a message, with one word for each placeholder."""
    skipped = {id(text) for _, text in _docstrings(path)}
    strings = [node for node in ast.walk(_tree(path)) if isinstance(node, (ast.JoinedStr, ast.Constant))]
    for node in strings:
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
    for node in strings:
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "N" for part in node.values)
        elif isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def _sentences(text: str) -> Iterator[str]:
    """Split a message at full stops, semicolons, colons and line ends; parentheses count as sentences of their own."""
    text = re.sub(r"\b(e\.g|i\.e|vs|et al|ed|ch)\.", r"\1", text)
    for part in (re.sub(r"\([^()]*\)", " ", text), *re.findall(r"\(([^()]*)\)", text)):
        yield from re.split(r"[.;:?!](?=\s|$)|\n", part)


def _is_property(node: ast.AST) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in getattr(node, "decorator_list", ()))


def _forbidden(path: Path) -> Found:
    for line, text in [*((text.lineno, text.value) for _, text in _docstrings(path)), *_messages(path)]:
        for match in FORBIDDEN.finditer(text):
            yield (
                line + text[: match.start()].count("\n"),
                f"{match[0]!r} in {text[max(match.start() - 60, 0) :][:120]}",
            )


def _questions(path: Path) -> Found:
    for _, text in _docstrings(path):
        if re.match(r"\s*(What|How|Whether|Where|Which|Who)\b", text.value):
            yield text.lineno, text.value[:100]


def _without_verb(path: Path) -> Found:
    for node, text in _docstrings(path):
        described = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _is_property(node)
        if described and re.split(r"\W", text.value.strip())[0].lower() not in VERBS:
            yield text.lineno, text.value[:100]


def _long(path: Path) -> Found:
    for line, text in _messages(path):
        for sentence in _sentences(text):
            if len(sentence.split()) > LONGEST and not text.startswith(NO_SENTENCES):
                yield line, f"{len(sentence.split())} words: {sentence}"


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        ("write another word, see the table in CONTRIBUTING.md", _forbidden),
        ("a docstring begins with a verb or the thing itself", _questions),
        ("a function's docstring begins with a verb in the imperative, one of VERBS", _without_verb),
        (f"a sentence of a message has at most {LONGEST} words", _long),
    ],
)
def test_words_of_the_package(rule, faults):
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {' '.join(text.split())}"
        for path in FILES
        for line, text in faults(path)
    ]
    assert not found, "\n".join([rule, *found])
