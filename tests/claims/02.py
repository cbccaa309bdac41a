"""Claims of lesson 02, checked in its kernel after its last cell."""

distances = ethanol.get_all_distances()
claim("to 64-bit numbers", exact.dtype == torch.double)
claim("closer than a cutoff of 5 Å send", (distances < 5).sum() - 9 == len(i))
claim("a message from each of the eight others.", len(i) == 8 * len(ethanol))
claim("has two kinds of features, 64 of each", F == 64)
claim("a learned sum of 20 radial functions", len(n) == 20)
one_far = [  # what an atom receives from another at a distance
    message(0, painn.embedding(Z[:2]), torch.zeros(2, 3, F).double(), *graph_of, r)[1]
    for graph_of in [(torch.tensor([0]), torch.tensor([1]))]
    for r in torch.tensor([[[4.0, 0, 0]], [[4.99, 0, 0]], [[5.0, 0, 0]]]).double()
]
near, last, beyond = (v.abs().max().item() for v in one_far)
claim("takes it smoothly to zero at 5 Å", beyond == 0 < last < 1e-3 * near)
claim("PaiNN does both three times.", student.config.layers == 3)
claim("about atoms up to 15 Å away", 3 * cutoff == 15)
claim("with a cutoff of 5 Å not the same as one layer with 15 Å", cutoff == 5)
r_ij = (R[j] - R[i]).detach()
theirs = painn({"_atomic_numbers": Z, "_idx_i": i, "_idx_j": j, "_Rij": r_ij})
same = (theirs["scalar_representation"] - bound).abs().max() < 1e-5
claim("differences below a millionth", same and max(library_gaps) < 1e-6)
features = painn.embedding(Z), torch.zeros(len(Z), 3, F, dtype=torch.double)
Q = torch.tensor(turns[0])
before, after = (message(0, *features, i, j, r) for r in (r_ij, r_ij @ Q.T))
same = [before[0] - after[0], torch.einsum("ab,nbf->naf", Q, before[1]) - after[1]]
same = max(float(gap.abs().max()) for gap in same) < 1e-9
claim("each step keeps scalars and turns vectors", same)
added = np.linalg.norm(turn + [1, 0], axis=1)  # unit vectors: both are equally far
claim("has two hydrogen neighbours at 0.96 Å", np.allclose(of_arrows, added))
claim("The sum of scalars is the same at all angles.", np.ptp(of_scalars) < 1e-9)
claim("from two messages to none", np.allclose(of_arrows[[0, -1]], [2, 0]))
worst = max(value for row in misfits.values() for value in row.values())
claim("What is left is the rounding of 32-bit numbers.", worst < 1e-4)
step = 1e-3 * np.random.default_rng(0).normal(size=R.shape)  # (N, 3) Å
moved = [ethanol.positions + step, ethanol.positions - step]
up, down = (exact.energy_forces(ethanol.numbers, where)[0] for where in moved)
work = -2 * (forces_there * step).sum()  # eV
claim("the forces belong to one energy", abs(up - down - work) < 1e-5)
both_kinds = {round(float(np.linalg.det(Q))) for Q in turns}
claim("turns and mirrors ethanol twenty times", both_kinds == {1, -1})
beyond = np.array(pulls)[gaps > cutoff + 0.01]
claim("Two molecules that are more than 5 Å apart", max(beyond) < 1e-5 < pulls[0])
claim("MMFF94 moves small molecules at 600 K", valid[0].info["temperature"] == 600)
claim("The same weights should come out.", weight_gap < 1e-5)
best = np.nanmin(history.column("force_mae"))
claim("with the lowest validation error", abs(kept.force_mae / best - 1) < 1e-3)
claim("one energy but 3N force components", dft.shape == (sum(map(len, test)), 3))
none, own_error, near = (from_teacher[name]["meV/Å"] for name in tests)
part = lessons.pick(ci=0.8, binder=0.5, laptop=0.5, full=0.5)
claim("removes more than half of the error", own_error < part * none)
claim("The shipped student is nearer still.", near < 0.8 * own_error)
card = datasets.card("molecules-mmff94")["card"]
made = card["structures"], card["molecules"]
claim("on 61,400 structures of 3,070 molecules", made == (61_400, 3_070))
mmff94, on_the_way, reached = from_dft.values()
claim("MMFF94 is about 250 meV/Å from DFT", abs(mmff94 - 250) < 5)
claim("no force at all about 940 meV/Å", abs(nothing - 940) < 5)
claim("is at about 260 meV/Å", abs(reached - 260) < 5)
claim("Your own student is on the way.", reached < on_the_way < nothing)
claim("close to its teacher.", 0.85 < reached / mmff94 < 1.25)
claim("Most of the way from no force to DFT", reached < 0.5 * nothing)
claim("their correlation is 0.91", abs(shared - 0.91) < 0.005)
claim("One energy and three force components for each", 1 + 3 * len(ethanol) == 28)
wrong(1, "one_arrow_long = 60", "one_arrow_long = 90", "one_arrow_long = 180")
head = "def train_on(energy_weight, force_weight):\n    return "
wrong(
    2,
    f"{head}kept",
    f"{head}train.evaluate(untrained, valid)",
    f"{head}train.evaluate(student, valid)",
)
