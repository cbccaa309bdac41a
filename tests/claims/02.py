"""Claims of lesson 02, checked in its kernel after its last cell."""

claim(
    "SchNetPack's own layer, fed with the same molecule, must give the same numbers.",
    difference < 1e-5,
)
claim(
    "every operation it is built from keeps scalars fixed and turns vectors",
    max(same_scalars, turned_vectors) < 1e-5,
)
claim(
    "What is left is the rounding of 32-bit numbers.",
    max(energy_changes) < 1e-4 and max(force_misfits) < 1e-4,
)
claim("the symmetry holds exactly, with random weights", untrained < 1e-4)
claim("the forces belong to an energy", deviation < 1e-3)
beyond = gaps > cutoff + 0.01
claim(
    "two molecules whose nearest atoms are more than 5 Å apart cannot feel each other",
    cutoff == 5
    and max(np.array(pulls)[beyond]) < 1e-5
    and np.abs(np.array(energies)[beyond] - 2 * alone).max() < 1e-4,
)
claim(
    "what you keep are the best weights so far, by the right-hand curve",
    abs(kept / best - 1) < 1e-3,
)
claim(
    "A minute of training has already taught the network most of what a molecule is.",
    against_teacher["trained here"]
    < lessons.pick(ci=0.8, binder=0.5, laptop=0.5, full=0.5)
    * against_teacher["no force at all"],
)
claim(
    "More molecules and more steps (the shipped network had more of both; this "
    "comparison does not tell them apart) do the rest.",
    against_teacher["shipped"] < 0.8 * against_teacher["trained here"],
)
zero_shot = from_dft["network, zero-shot"]
claim(
    "The student ends near its teacher.",
    0.85 < zero_shot / from_dft["MMFF94 itself"] < 1.25,
)
claim(
    'Most of the way from "no force" to DFT is covered, for nothing.',
    zero_shot < 0.5 * from_dft["no force at all"],
)
claim("their errors are strongly correlated", mistakes > 0.5)
claim(
    "gives every atom i two kinds of features, F = 64 of each",
    shipped.config.features == 64 and dv.shape == (9, 3, 64),
)
claim("Three rounds, and an atom has heard", shipped.config.layers == 3)
outside = distance[:, 0] >= cutoff
claim(
    "Notice that everything is exactly zero from 5 Å on.",
    all(float(curve[outside].abs().max()) == 0 for curve in curves.values()),
)
claim(
    "connects every pair of atoms that are closer than a cutoff (5 Å here)",
    len(idx_i) == (ethanol.get_all_distances() < 5).sum() - len(ethanol),
)
