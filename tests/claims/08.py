"""What lesson 08 states, checked after its last cell, with its variables."""

lifted_from = level["zero-shot"][100]
CC = level["all weights"]
MMFF94 = level["from MMFF94"]
MORE = (30, 100, 300)
TUNED = "DFT, then 300 CCSD(T) energies"

claim(
    "thirty energies of CCSD(T) take off two thirds of its force error, and no force "
    "was ever shown to it",
    CC[30] < lifted_from / 3 and ways["all weights"]["force_weight"] == 0,
)
claim(
    "then the energies and forces of 400 DFT structures of ethanol",
    len(datasets.load("ethanol-dft")["pool"]) == 400,
)
claim(
    "Forty structures with CCSD(T) forces are kept for the test",
    len(test) == 40 and not any("forces" in a.calc.results for a in pool),
)
claim(
    "three draws of the labels each",
    all(len(v) == 3 for v in coupled["delta"].values()),
)
claim(
    "Ten energies, ten numbers, take two fifths off the error of the forces.",
    0.55 < CC[10] / lifted_from < 0.65,
)
claim(
    "From scratch the same numbers are worth nothing, and from MMFF94 they are worth "
    "little",
    min(level["scratch"].values()) > lifted_from and MMFF94[100] > 1.5 * CC[100],
)
claim(
    "it takes 300 energies to come within one and a half times of it",
    CC[300] < 1.5 * on_its_own < CC[100],
)
claim("Here they do slightly *worse* than one gentle rate for all", 0 < low < gap < 25)
claim(
    "From thirty energies on it beats a start from MMFF94, but its error stays nearly "
    "twice that of tuning.",
    all(1.7 * CC[n] < level["delta"][n] < MMFF94[n] for n in MORE),
)
claim(
    "The DFT potential's C-H stretches lie thirty wavenumbers too low, all of them",
    (off_by["DFT"][15:20] < 0).all() and -33 < off_by["DFT"][15:20].mean() < -25,
)
claim(
    "move them up to where they belong, within some ten",
    off[TUNED]["C-H"] < min(12, 0.5 * off["DFT"]["C-H"]),
)
claim(
    "moves too far, from three wavenumbers too low to thirty-five",
    round(off["DFT"]["O-H"]) == 3 and round(off[TUNED]["O-H"]) == 35,
)
claim(
    "From scratch, 300 energies give modes that are no use at all.",
    min(off["scratch, 300 CCSD(T) energies"].values()) > 100,
)
claim(
    "600 steps, rates chosen on one draw", {w["steps"] for w in ways.values()} == {600}
)
claim("thirty energies on top of DFT beat 300 on top of MMFF94", CC[30] < MMFF94[300])
claim("The mean force error fell to a sixth.", 5.5 < lifted_from / CC[300] < 6.5)
