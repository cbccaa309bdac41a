"""Check what the prose of a lesson states against what its run computed.

``tests/claims/NN.py`` has lines ``claim("words that stand in the lesson", holds)``,
and ``wrong(1, "share = 50", ...)`` for answers that the check of exercise 1 must
refuse. The build runs the file in the lesson's own kernel, after the last cell.
"""

import ast
import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

FOLDER = Path("tests/claims")
SOURCE, QUOTED = re.compile(r"(\]\(https?://[^)\s]*\))"), "※"  # a mark after a link
LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*(?:\s[^)]*)?\)")
NO_PROSE = re.compile(  # numbers in these state nothing that a run could check
    r"^## Exercises.*\Z|^\d+\. .*?$|^```.*?^```|\$\$.*?\$\$|^ *[#|<].*?$|\$[^$\n]+\$"
    r"|`[^`\n]*`|\b(?:[Ll]essons?|[Ss]ections?|[Ee]xercises?) \d+|\(\d\)"
    r"|\b(?:19|20)\d\d\b",
    re.S | re.M,
)
NUMBER = re.compile(r"(?<!\w)\d")  # not that of MMFF94
SENTENCES = re.compile(r"(?<=[.?!:;])\s+(?=[^\Wa-z]|\()")


def run(file: str, names: dict[str, Any]) -> None:
    """Run a file of claims, statement by statement, and print the results as JSON.

    `names` are the variables of the lesson; they stay as they are.
    """
    found: list[dict[str, Any]] = []

    def claim(text: str, holds: bool) -> None:
        found.append({"text": text, "holds": bool(holds)})

    def wrong(exercise: int, *answers: str) -> None:
        for answer in answers:
            printed = _checked(exercise, answer, names)
            text = f"the check of exercise {exercise} refuses: {answer}"
            said = {} if (holds := printed.startswith("✗")) else {"error": printed}
            found.append({"text": text, "holds": holds, "exercise": exercise} | said)

    names = names | {"claim": claim, "wrong": wrong}
    for statement in ast.parse(Path(file).read_text("utf-8"), file).body:
        try:
            exec(compile(ast.Module([statement], []), file, "exec"), names)
        except Exception as error:  # the other claims are checked all the same
            text = next(_texts(statement), ast.unparse(statement))
            raised = f"{type(error).__name__}: {error}"
            found.append({"text": text, "holds": False, "error": raised})
    print(json.dumps(found))


def _checked(exercise: int, answer: str, names: dict[str, Any]) -> str:
    """Put `answer` in the place of a solution; return what the check then prints."""
    cells, title = names["In"], f"# Solution of exercise {exercise}\n"
    places = [k for k, cell in enumerate(cells) if cell.startswith(title)]
    scope, printed = dict(names), io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            for code in (answer, cells[places[0] + 1]):
                exec(code, scope)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return (printed.getvalue().splitlines() or ["nothing was printed"])[-1]


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts of the claims below a node of syntax, if they are constants."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "claim":
            text = call.args[0] if call.args else None
            yield from [text.value] if isinstance(text, ast.Constant) else []


def plain(text: str) -> str:
    """Return `text` without emphasis, link targets, tags and line breaks."""
    text = re.sub(r"<[^>\n]+>", " ", LINK.sub(r"\1", text))
    return " ".join(re.sub(r"^> ?|[*_`]", "", text, flags=re.M).split())


def shown(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what a reader sees, plain: Markdown, printed texts, alt texts."""
    outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
    texts = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    texts += [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return [plain(text) for text in texts]


def problems(notebook: nbformat.NotebookNode, claims: list[dict]) -> list[str]:
    """Say which claims do not hold, and which do not stand in the lesson."""
    texts, found = shown(notebook), []
    for text in texts:
        found += [f"a solution is refused: {text}"] if text.startswith("✗") else []
    for claim in claims:
        words = plain(claim["text"])
        stands = "exercise" in claim or words and any(words in t for t in texts)
        if not stands:
            found.append(f"claim does not stand in the lesson: {claim['text']!r}")
        if not claim["holds"]:
            why = f" ({claim['error']})" if "error" in claim else ""
            found.append(f"claim does not hold: {claim['text']!r}{why}")
    return found


def uncovered(path: Path) -> list[str]:
    """List the sentences with a number that no claim on a lesson covers.

    Only the Markdown after the first cell is read, nothing is run. Tasks, questions and
    what a linked source says need no claim. A claim whose words do not stand in the
    lesson as it was committed is listed, too.
    """
    file, notebook = FOLDER / f"{path.stem[:2]}.py", nbformat.read(path, as_version=4)
    texts = [*_texts(ast.parse(file.read_text("utf-8")))] if file.is_file() else []
    found = problems(notebook, [{"text": text, "holds": True} for text in texts])
    prose = [c.source for c in notebook.cells[1:] if c.cell_type == "markdown"]
    marked = SOURCE.sub(rf"\1{QUOTED}", "\n\n".join(prose))
    prose = NO_PROSE.sub("", LINK.sub(r"\1", marked))
    words = [plain(text) for text in texts]
    for paragraph in re.split(r"\n\s*\n|^\s*- ", prose, flags=re.M):
        for sentence in SENTENCES.split(plain(paragraph)):
            covered = any(w in sentence or sentence in w for w in words)
            free = sentence.endswith("?") or sentence.startswith("Try ")
            free |= QUOTED in sentence
            if NUMBER.search(sentence) and not covered and not free:
                found.append(sentence)
    return found
