"""Claims of lesson 01, checked in its kernel after its last cell."""

claim(
    "labels hundreds of structures while quantum chemistry labels one",
    10 * rate > 200,  # of ten seconds, on what other work leaves of the core
)
claim("We run ethanol at three temperatures.", len(runs) == 3)


def turns(run):
    """Count changes of sign of the C-C-O-H angle (degrees) between 90 and 270."""
    angle = np.array([a.get_dihedral(0, 1, 2, 8) for a in run])
    side = np.digitize(angle, (120, 240))  # three places of the hydrogen
    return int((np.diff(side) != 0).sum())


claim(
    "turn around the C-O bond a few times at 300 K, and again and again at 1000 K.",
    turns(runs[1000]) > 2 * turns(runs[300]) > 0 and turns(runs[1000]) > 20,
)
each = {T: above[T].mean() / (vibrations * units.KB * T / 2) for T in runs}
claim("has 3*N* - 6 vibrations", vibrations == 21)
claim("it would hold kT/2 of potential energy", min(each.values()) > 0.9)
claim("(k is 8.62 × 10⁻⁵ eV/K.)", abs(units.KB - 8.62e-5) < 5e-8)
claim("and a few per cent more", all(1.0 < ratio < 1.15 for ratio in each.values()))
claim(
    "a temperature between 300 and 1000 K",
    all(300 <= a.info["temperature"] <= 1000 for a in classical),
)
claim(
    "We keep ten structures of each run, 25 fs apart.",
    len(classical) == 10 * (count - refused) and often["spacing"] == 25,
)
claim("The first 250 fs are left out", often["equilibration"] == 250)
claim(
    "Hydrogen feels the smallest forces.",
    spread["H"] < 0.8 * min(spread[e] for e in "CNO"),
)
claim(
    "differ several times more than the energy of one molecule does in a run",
    between.std() > 3 * within.std(),
)
claim("mean size of about 940 meV/Å", abs(rows["all"]["mean size"] - 940) < 10)
share = rows["all"]["MAE"] / rows["all"]["mean size"]
claim("is about a quarter of the mean size", 0.23 < share < 0.3)
claim("have an error of about a quarter of their size", 0.23 < share < 0.3)
claim(
    "Hydrogen is described well.",
    rows["H"]["MAE"] < 0.5 * min(rows[e]["MAE"] for e in "CNO"),
)
claim(
    "from top (smallest error) to bottom",
    [*order] == sorted(order, key=errors.__getitem__),
)
claim("a broad cloud, not a line", np.corrcoef(left_dft, left_field)[0, 1] < 0.7)
claim(
    "Subtracting MMFF94 from the DFT energies does not make the rest smaller.",
    np.abs(left_over).mean() > np.abs(left_dft).mean(),
)
still = (abs(field) < 500) & (abs(dft) > 6000)  # meV/Å
made_of = np.concatenate([[a.info["smiles"]] * len(a) for a in quantum])
claim(
    "The row of points at zero is mostly carbon dioxide",
    np.mean(made_of[still.any(axis=1)] == "O=C=O") > 0.6,
)
claim("small errors in ammonia (N)", quantum[order[0]].info["smiles"] == "N")
claim("by far the largest in carbon dioxide", errors[order[-1]] > 5 * errors[order[-2]])
(dioxide,) = molecules.conformers("O=C=O", seed=0)
claim("they rest at 1.405 Å", abs(dioxide.get_all_distances()[0, 1] - 1.405) < 0.001)
claim("has the DFT energies up to 2 Å", abs(r_dft.max() - 2) < 0.01)
claim("Near 2 Å this kind of DFT is too high itself", e_dft[-1] > 4.5)
at = dict(zip(distance.round(2), scan, strict=True))
near = [
    (at[r], e) for r, e in zip(r_dft.round(2), e_dft, strict=True) if 0.89 < r < 1.11
]
claim(
    "Near the minimum the two agree.",
    len(near) == 5 and max(abs(a - b) for a, b in near) < 0.1,
)
claim(
    "At 1.6 Å the energy of MMFF94 is above that of a broken bond",
    at[1.55] > 4.5 > at[1.5],
)
claim("about twice the length of the bond", 1.9 < 2 / r_dft[e_dft.argmin()] < 2.2)
claim("at 2 Å it is eight times those 4.5 eV", 7.7 < at[2.0] / 4.5 < 8.3)
claim("12 × 0.0259 eV = 0.31 eV", abs(12 * units.KB * 600 / 2 - 0.31) < 0.005)
claim("it costs 4.5 eV to break this bond", abs(104.6 * units.KCAL_MOL - 4.5) < 0.05)

wrong(
    1,
    "first_too_far = lambda: distance[scan > 4.5][-1]",
    "first_too_far = lambda: distance[np.argmin(scan)]",
    "first_too_far = lambda: 4.5",
)
wrong(2, "longest = lambda: 1.52", "longest = lambda: 3.0", "longest = lambda: 1.6")
