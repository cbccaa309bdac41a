"""A network from bottom to top: rates that fall downwards, and blocks that wait.

Discriminative fine-tuning: what is near the read-out is rewritten, what is near the
input is only touched up (Howard & Ruder, arXiv 1801.06146, who also unfreeze block by
block; for interatomic potentials Zaverkin et al., doi 10.1039/D2CP05793J).
"""

import torch

from .fitting import FitConfig
from .model import Potential


def blocks(potential: Potential) -> dict[str, list[torch.nn.Parameter]]:
    """All parameters, by block: embedding and filters, the layers, the read-out."""
    painn = potential.representation
    parts = {"embedding, filters": [painn.embedding, painn.filter_net]}
    pairs = zip(painn.interactions, painn.mixing, strict=True)
    parts |= {f"layer {k}": list(pair) for k, pair in enumerate(pairs)}
    parts["read-out"] = [potential.readout]
    return {
        name: [p for module in modules for p in module.parameters()]
        for name, modules in parts.items()
    }


def parameter_groups(potential: Potential, config: FitConfig) -> list[dict]:
    """What an optimiser takes: each block with its rate, ``lr * decay**depth``.

    The read-out, whose depth is 0, comes last. Without decay it is one group.
    """
    if config.decay == 1:
        return [{"params": list(potential.parameters()), "lr": config.lr}]
    parts = list(blocks(potential).values())
    return [
        {"params": part, "lr": config.lr * config.decay ** (len(parts) - 1 - k)}
        for k, part in enumerate(parts)
    ]


def drop_frozen(potential: Potential, config: FitConfig, step: int) -> None:
    """Drop the gradients of blocks that still wait for their turn at `step`."""
    if config.unfreeze:
        parts = list(blocks(potential).values())
        awake = 1 + step // config.unfreeze
        for part in parts[: max(0, len(parts) - awake)]:
            for parameter in part:
                parameter.grad = None


def moved(before: Potential, after: Potential) -> dict[str, float]:
    """How far the weights of each block went, relative to their size before."""
    first, last = blocks(before), blocks(after)
    found = {}
    for name in first:
        size = sum(p.detach().square().sum().item() for p in first[name])
        pairs = zip(first[name], last[name], strict=True)
        gap = sum((p - q).detach().square().sum().item() for p, q in pairs)
        found[name] = (gap / size) ** 0.5
    return found
