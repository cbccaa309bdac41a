"""PaiNN's forward pass in two ways, with SchNetPack's layers and weights.

Both give the numbers of SchNetPack's own pass. `pairwise` follows the equations. It
makes every tensor with the type and on the device of its inputs; SchNetPack's pass
makes one of torch's default type and fails where that differs from the weights'.
`padded` is 2-3 times as fast where neighbours are many and radial functions few (a
liquid), slower where not (molecules). A message is a filter times features of the
neighbour, and a filter is linear in the radial functions b(d), so the sum over
neighbours can come first

    sum_j W(d_ij) x_j = sum_k W_k sum_j b_k(d_ij) x_j

as one batched matrix product per atom, and the filter is never formed for every pair.
Schütt, Unke & Gastegger, arXiv 2102.03150, equations 7, 8 (message), 9, 10 (update).
"""

import torch


def pad(idx_i, idx_j, r_ij, n: int, far: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbours (n, K) of each atom and vectors to them (n, K, 3).

    `idx_i` (E,) is sorted. Empty places hold atom 0 at a distance of `far`.
    """
    count = torch.bincount(idx_i, minlength=n)  # (n,)
    place = torch.arange(len(idx_i), device=idx_i.device)
    place = place - (count.cumsum(0) - count)[idx_i]
    size = (n, int(count.max()) if len(idx_i) else 0)
    neighbours = idx_j.new_zeros(size).index_put((idx_i, place), idx_j)
    empty = r_ij.new_tensor([far, 0.0, 0.0]).expand(*size, 3)
    return neighbours, empty.index_put((idx_i, place), r_ij)


def pairwise(painn: torch.nn.Module, Z, idx_i, idx_j, r_ij) -> torch.Tensor:
    """Compute scalar features (N, F) after the last layer, one message a pair.

    Z (N,); idx_i and idx_j (E,); r_ij (E, 3) Å.
    """
    n, F = len(Z), painn.n_atom_basis
    d = r_ij.norm(dim=-1)  # (E,)
    arrow = (r_ij / d[:, None])[..., None]  # (E, 3, 1)
    filters = (radials(painn, d) @ filter_weights(painn)).split(3 * F, dim=-1)
    s, v = painn.embedding(Z), None  # (N, F), (N, 3, F); vectors start at zero
    layers = zip(painn.interactions, painn.mixing, filters, strict=True)
    for interaction, mixing, W in layers:
        x = W * interaction.interatomic_context_net(s)[idx_j]  # (E, 3F)
        to_scalar, to_arrow, to_vector = x.chunk(3, dim=-1)
        push = to_arrow[:, None] * arrow  # (E, 3, F)
        if v is not None:
            push = push + to_vector[:, None] * v[idx_j]
        s = s.index_add(0, idx_i, to_scalar)
        v = (s.new_zeros(n, 3, F) if v is None else v).index_add(0, idx_i, push)
        s, v = update(mixing, s, v)
    return s


def padded(painn: torch.nn.Module, Z, idx_i, idx_j, r_ij) -> torch.Tensor:
    """Compute the same as `pairwise` for sorted idx_i, sums over neighbours first."""
    n, F = len(Z), painn.n_atom_basis
    neighbours, r = pad(idx_i, idx_j, r_ij, n, float(painn.cutoff))
    d = r.norm(dim=-1)  # (N, K)
    radial = radials(painn, d).transpose(1, 2)  # (N, B, K), zero at `far`
    arrows = (r / d[..., None]).transpose(1, 2)  # (N, 3, K)
    vector = (arrows[:, :, None] * radial[:, None]).flatten(1, 2)  # (N, 3B, K)
    filters = filter_weights(painn).split(3 * F, dim=-1)
    s, v = painn.embedding(Z), None  # (N, F), (N, 3, F)
    layers = zip(painn.interactions, painn.mixing, filters, strict=True)
    for interaction, mixing, W in layers:
        x = interaction.interatomic_context_net(s)  # (N, 3F)
        ds, dv = _message(x, v, W, neighbours, radial, vector)
        s, v = s + ds, dv if v is None else v + dv
        s, v = update(mixing, s, v)
    return s


def radials(painn: torch.nn.Module, d: torch.Tensor) -> torch.Tensor:
    """Radial functions (..., B) at distances `d` (...) Å, the last for the bias."""
    inside = painn.cutoff_fn(d)[..., None]
    return torch.cat([painn.radial_basis(d), torch.ones_like(inside)], -1) * inside


def filter_weights(painn: torch.nn.Module) -> torch.Tensor:
    """What makes the filters of all layers of `radials`, (B, 3F layers)."""
    net = painn.filter_net
    return torch.cat([net.weight.T, net.bias[None]])


def _message(x, v, W, neighbours, radial, vector):
    """What the neighbours add to scalars (N, F) and vectors (N, 3, F).

    Vectors `v` are ``None`` before the first layer: they are all zero there.
    """
    to_scalar, to_arrow, to_vector = x.chunk(3, dim=-1)  # (N, F) each
    W_scalar, W_arrow, W_vector = W.chunk(3, dim=-1)  # (B, F) each
    (n, B, _), F = radial.shape, W_scalar.shape[1]
    if v is not None:
        to_scalar = torch.cat([to_scalar, (to_vector[:, None] * v).flatten(1)], -1)
    summed = torch.bmm(radial, to_scalar[neighbours])  # (N, B, F) or (N, B, 4F)
    ds = (summed[..., :F] * W_scalar).sum(1)
    arrows = torch.bmm(vector, to_arrow[neighbours]).view(n, 3, B, F)
    dv = (arrows * W_arrow).sum(2)
    if v is not None:
        others = summed[..., F:].unflatten(-1, (3, F))  # (N, B, 3, F)
        dv = dv + (others * W_vector[:, None]).sum(1)
    return ds, dv


def update(mixing, s, v):
    """Scalars and vectors of one atom mix; only lengths of vectors reach scalars."""
    V, W = mixing.mu_channel_mix(v).chunk(2, dim=-1)  # (N, 3, F) each
    length = (V.square().sum(1) + mixing.epsilon).sqrt()
    x = mixing.intraatomic_context_net(torch.cat([s, length], -1))
    ds, dv, dsv = x.chunk(3, dim=-1)  # (N, F) each
    return s + ds + dsv * (V * W).sum(1), v + dv[:, None] * W
