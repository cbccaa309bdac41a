"""Check what the prose of a lesson states against what its run computed.

``tests/claims/NN.py`` has lines ``claim("words that stand in the lesson", holds)``. The
build runs the file in the lesson's own kernel, after the last cell.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

FOLDER = Path("tests/claims")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*(?:\s[^)]*)?\)")
NO_PROSE = re.compile(  # numbers in these state nothing that a run could check
    r"^## Further reading.*\Z|^```.*?^```|\$\$.*?\$\$|^ *[#|<].*?$|\$[^$\n]+\$"
    r"|`[^`\n]*`|^ *(?:\d+\.|\*\*\d+\.\*\*)"
    r"|\b(?:[Ll]essons?|[Ss]ections?|[Ee]xercises?) \d+",
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

    names = names | {"claim": claim}
    for statement in ast.parse(Path(file).read_text("utf-8"), file).body:
        try:
            exec(compile(ast.Module([statement], []), file, "exec"), names)
        except Exception as error:  # the other claims are checked all the same
            text = next(_texts(statement), ast.unparse(statement))
            raised = f"{type(error).__name__}: {error}"
            found.append({"text": text, "holds": False, "error": raised})
    print(json.dumps(found))


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
    for claim in claims:
        words = plain(claim["text"])
        if not words or not any(words in text for text in texts):
            found.append(f"claim does not stand in the lesson: {claim['text']!r}")
        if not claim["holds"]:
            why = f" ({claim['error']})" if "error" in claim else ""
            found.append(f"claim does not hold: {claim['text']!r}{why}")
    return found


def uncovered(path: Path) -> list[str]:
    """List the sentences with a number that no claim on a lesson covers.

    Only the Markdown after the first cell is read, nothing is run. A claim whose words
    do not stand in the lesson as it was committed is listed, too.
    """
    file, notebook = FOLDER / f"{path.stem[:2]}.py", nbformat.read(path, as_version=4)
    texts = [*_texts(ast.parse(file.read_text("utf-8")))] if file.is_file() else []
    found = problems(notebook, [{"text": text, "holds": True} for text in texts])
    prose = [c.source for c in notebook.cells[1:] if c.cell_type == "markdown"]
    prose = NO_PROSE.sub("", LINK.sub(r"\1", "\n\n".join(prose)))
    words = [plain(text) for text in texts]
    for paragraph in re.split(r"\n\s*\n|^\s*- ", prose, flags=re.M):
        for sentence in SENTENCES.split(plain(paragraph)):
            covered = any(w in sentence or sentence in w for w in words)
            if NUMBER.search(sentence) and not covered:
                found.append(sentence)
    return found
