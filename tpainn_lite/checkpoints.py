"""Weights on disk: PATH.pt (a state_dict) beside PATH.json (what it is, in words).

The JSON holds the weights' SHA-256, so a truncated or mixed-up pair is refused; weights
are loaded with ``weights_only=True``, so a checkpoint cannot run code.
"""

import hashlib
import io
import json
from pathlib import Path

import torch

FORMAT = 1  # raise when files of the older kind can no longer be read


def names(path: str | Path) -> tuple[Path, Path]:
    """PATH.pt and PATH.json, whether or not `path` ends in one of the suffixes."""
    base = Path(str(path).removesuffix(".pt").removesuffix(".json"))
    return base.with_name(base.name + ".pt"), base.with_name(base.name + ".json")


def write(path: str | Path, state: dict[str, torch.Tensor], about: dict) -> None:
    """Write both files under other names, then rename: whole or not at all."""
    buffer = io.BytesIO()
    torch.save({key: value.cpu() for key, value in state.items()}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    text = json.dumps({"format": FORMAT, "sha256": digest, **about}, indent=1) + "\n"
    contents = dict(zip(names(path), (buffer.getvalue(), text.encode()), strict=True))
    for file, content in contents.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_name(file.name + ".part").write_bytes(content)
    for file in contents:
        file.with_name(file.name + ".part").replace(file)


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Weights and description.

    Raises `ValueError` for files that are missing, truncated, altered, or of another
    format.
    """
    weights, description = names(path)
    for file in (weights, description):
        if not file.is_file():
            raise ValueError(f"{file}: no such file; a checkpoint is a .pt and a .json")
    try:
        about = json.loads(description.read_text())
        found, expected = about["format"], about["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{description}: not a whole checkpoint description ({error})"
        ) from None
    if found != FORMAT:
        raise ValueError(
            f"{description}: has format {found}, this version reads format {FORMAT}; "
            "rebuild the checkpoint, or install the version that wrote it"
        )
    if hashlib.sha256(weights.read_bytes()).hexdigest() != expected:
        raise ValueError(
            f"{weights}: truncated or altered (its SHA-256 is not the one in "
            f"{description.name}); copy or train it again"
        )
    return torch.load(weights, weights_only=True, map_location="cpu"), about


def write_run(path: Path, state: dict) -> None:
    """Write the state of a training run, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    part.replace(path)


def read_run(path: Path, identity: dict, device: torch.device) -> dict:
    """The state that `write_run` wrote.

    `identity` holds "settings", named in words where they differ, and digests of
    "inputs". Raises `ValueError` for a broken file, or one of another run.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=device)
        found = state.get("identity")
    except Exception as error:  # whatever torch's unpickler raises
        raise ValueError(
            f"checkpoint: {path} is no whole training state; delete it, start anew"
        ) from error
    if found != identity:
        raise ValueError(
            f"checkpoint: {path} was written with {_differences(found, identity)}; "
            "use what it was written with, or another file, or delete it"
        )
    return state


def _differences(found: dict | None, identity: dict) -> str:
    """How the run of a state is unlike this one, in words."""
    if not found:
        return "another version of this library"
    words = []
    for key, new in identity["settings"].items():
        if (old := found["settings"].get(key)) != new:
            words.append(f"{key} {old} (now {new})")
    known = found["inputs"]
    words += [f"other {k}" for k, new in identity["inputs"].items() if known[k] != new]
    return " and ".join(words)


def digest_of(weights: dict[str, torch.Tensor]) -> str:
    """Hash a state_dict: names, types, shapes and values."""
    whole = hashlib.sha256()
    for name, value in weights.items():
        whole.update(f"{name} {value.dtype} {[*value.shape]}".encode())
        whole.update(value.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()
