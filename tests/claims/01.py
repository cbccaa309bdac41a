"""Claims of lesson 01, checked in its kernel after its last cell."""

claim(
    "We run ethanol at three temperatures.",
    len(measured) == 3
    and all(abs(found / T - 1) < 0.1 for T, found in measured.items()),
)
claim(
    "each holds kT/2 of potential energy on average if it is a spring",
    0.8 < above[300].mean() / expected[300] < 1.3,
)
claim(
    "each molecule gets its own temperature between 300 and 1000 K, and a short run "
    "from which we keep ten structures",
    len(classical) >= 2000 and len(classical) == 10 * (count - refused),
)
claim(
    "A force field makes and labels a hundred structures or so a second on one core",
    rate > 10,  # what other work leaves of the core
)
claim(
    "hydrogen is light and sits at the end of a single bond, so it feels less force",
    by_element["H"].std() < min(by_element[z].std() for z in "CNO"),
)
claim(
    "The means of different molecules differ far more than the energy ever changes "
    "within one.",
    between.std() > 3 * within.std(),
)
claim(
    "The mean absolute error is about 0.3 eV/Å where the forces themselves are about "
    "1 eV/Å.",
    0.2 < np.abs(F_mmff - F_dft).mean() < 0.35 and 0.8 < np.abs(F_dft).mean() < 1.2,
)
claim(
    "Hydrogen is described well; carbon, nitrogen and oxygen, with their double bonds "
    "and rings, less so.",
    rows["H"]["MAE"] < 0.5 * min(rows[element]["MAE"] for element in "CNO"),
)
claim(
    "MMFF94's forces correlate with DFT's at better than 0.9, with an error of about "
    "0.3 eV/Å",
    np.corrcoef(F_mmff.ravel(), F_dft.ravel())[0, 1] > 0.9,
)
claim("A cloud.", np.corrcoef(left_dft, left_mmff)[0, 1] < 0.7)
claim(
    "Subtracting MMFF94's energy from the quantum energy is no help in predicting the "
    "rest.",
    subtracted > 0.9 * without,
)
near = (r_dft > 0.89) & (r_dft < 1.11)
claim(
    "Near the minimum the two agree.",
    max(abs(stretched(r) - e) for r, e in zip(r_dft[near], e_dft[near], strict=True))
    < 0.1,
)
claim(
    "At 1.6 Å the force field already asks for more energy than a broken bond costs, "
    "and at 3 Å for more than a hundred times as much",
    stretched(1.6) > 4.5 and stretched(3.0) > 100 * 4.5,
)
claim("They stop at 2 Å", abs(r_dft.max() - 2) < 0.01)
claim("The temperature should stay near 300 K", abs(T_liquid.mean() - 300) < 20)
peak = np.histogram(oh, bins=np.arange(0.8, 3.0, 0.02))
farther = peak[1][:-1] > 1.5
claim(
    "the bonds of a molecule near 1.03 Å, and hydrogen bonds to its neighbours near "
    "1.8 Å",
    1.01 < bond < 1.06
    and 1.65 < peak[1][:-1][farther][peak[0][farther][:25].argmax()] < 1.95,
)
claim("no hydrogen has changed its oxygen", strangers == 0)
claim(
    "(The outermost bars collect everything beyond ±0.3 eV.)",
    max(np.abs(part).max() for part in parts.values()) <= 0.3,
)
claim("at the relaxed length (0.972 Å)", abs(r0 - 0.972) < 0.001)
