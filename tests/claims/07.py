"""What lesson 07 states, checked after its last cell, with its variables."""

SIZES = (3, 10, 30, 100)
all_weights = mean["all weights"]
alone = [mean["energies alone"][n] / all_weights[n] for n in SIZES]
faster = [cpu["all weights"][n] / cpu["energies alone"][n] for n in SIZES]
by_delta = [mean["delta"][n] / all_weights[n] for n in mean["delta"]]
kept = {w: by_size[100].mean() for w, by_size in others.items()}
falls = {w: reach[w]["read-out"] / reach[w]["embedding, filters"] for w in reach}
after = {
    n: [np.mean(students[t][n]) for t in ("UFF", "MMFF94", "GFN2-xTB")] for n in SIZES
}
prices = {t["teacher"]: t["label_cpu_s"] for t in ladder}
imitation = {t["teacher"]: t["student"]["force_mae"] for t in ladder}
itself = {t["teacher"]: t["teacher_force_mae"] for t in ladder}
over = {k: row["instant head"] / row["all weights"] for k, row in compared.items()}
steps = {how["steps"] for how in ways.values() if "steps" in how}
seconds = 6000 * prices["GFN2-xTB"]

claim(
    "Between the ways of moving the weights there is hardly any difference",
    all(
        abs(mean[w][n] / all_weights[n] - 1) < 0.12
        for w in ("discriminative", "gradual unfreezing")
        for n in SIZES
    ),
)
claim("All gradient ways take the same 600 steps", steps == {600})
claim(
    "three parity plots of force components of ethanol in eV/Å after ten labels, from "
    "scratch, instant head and all weights tuned; the last two lie close to the "
    "diagonal",
    max(errors["instant head"], errors["all weights"]) < 0.7 * errors["scratch"],
)
claim(
    "**You should see** the three clouds narrow from left to right",
    errors["scratch"] > errors["instant head"] > errors["all weights"],
)
claim(
    "**A head that took two seconds beats scratch by far",
    spent["instant head"] < 0.5 * spent["all weights"]
    and errors["instant head"] < 0.7 * errors["scratch"],
)
claim(
    "Discriminative tuning comes out two per cent *worse*, beyond doubt and beside the "
    "point; for gradual unfreezing the interval holds zero.",
    round(pairs["discriminative"][0]) == 2
    and pairs["discriminative"][1] > 0
    and pairs["gradual unfreezing"][1] < 0 < pairs["gradual unfreezing"][2] < 5,
)
claim(
    "At three labels it is a tenth behind full tuning; at a hundred its error is "
    "nearly twice as large.",
    1.05 < mean["instant head"][3] / all_weights[3] < 1.15
    and 1.75 < mean["instant head"][100] / all_weights[100] < 2,
)
claim(
    "Its error is between a third and six tenths larger than that of tuning throughout",
    min(by_delta) > 1.3 and max(by_delta) < 1.65,
)
claim("**Energies alone are poor here**", min(alone[1:]) > 1.5)
claim("And they cost half the time", min(faster) > 1.5)
claim(
    "Discriminative tuning moves the upper blocks most and the lowest least.",
    falls["discriminative"] > 2 * falls["all weights"],
)
claim(
    "We ask for the forces of 49 structures of molecules it never saw",
    len(elsewhere) == 49,
)
claim(
    "After a hundred labels of ethanol the tuned network is a little *better* on other "
    "molecules than before",
    0.9 * kept["zero-shot"] < kept["all weights"] < kept["zero-shot"],
)
claim(
    "tuned on the same ten labels without it, the network is a little worse on other "
    "molecules than before, at no gain for ethanol.",
    1.01 < forgot["no pull"] / forgot["before"] < 1.1
    and forgot["all weights"] < 0.96 * forgot["before"]
    and train.evaluate(tuned["no pull"], test).force_mae > errors["all weights"],
)
claim(
    "The repulsion between oxygen and hydrogen is that of the student, improved; from "
    "scratch more than half of it is missing.",
    abs(walls["all weights"][0] - walls["DFT"][0])
    < abs(walls["before tuning"][0] - walls["DFT"][0])
    and walls["scratch"][0] < 0.5 * walls["DFT"][0],
)
claim(
    "half of its steps go to labels that are wrong by DFT's measure, and ethanol "
    "suffers",
    mean["replay"][100] > 1.2 * all_weights[100]
    and abs(walls["replay"][0] - walls["DFT"][0]) < 0.2
    and abs(walls["instant head"][0] - walls["DFT"][0]) < 0.2,
)
claim(
    "It gets worse on other molecules", kept["instant head"] > 1.1 * kept["zero-shot"]
)
claim(
    "one of its three runs broke",
    (hot["instant head"][10] < HOT_PS).sum() == 1
    and hot["all weights"][10].min() == HOT_PS
    and hot["scratch"][10].max() < 1,
)
claim("All that is slow, the derivatives of the features, is done once.", slowest < 2)
claim(
    "Then *n* from 1 to 40: the first ten structures help, the others hardly.",
    by_n[40] / by_n[10] > by_n[10] / by_n[3],
)
claim(
    "gradient steps are better everywhere, by little on molecules, by more on water "
    "with more boxes",
    min(over.values()) > 1
    and max(over[f"molecules-dft, n = {n}"] for n in (3, 8, 30)) < 1.2
    and over["water-dft, n = 30"] > over["water-dft, n = 3"] > 1.4,
)
claim(
    "The order of the teachers is the order of their students, at every *n*.",
    all(after[n][0] > after[n][1] > after[n][2] for n in after),
)
claim(
    "Three DFT labels on top of GFN2-xTB are worth thirty on top of MMFF94; a hundred "
    "on top of UFF do not reach three on top of MMFF94.",
    after[3][2] < 1.05 * after[30][1] and after[100][0] > after[3][1],
)
claim(
    "An xTB label costs two milliseconds, nearly a hundred times MMFF94's thirty "
    "*micro*seconds",
    1.9e-3 < prices["GFN2-xTB"] < 2.5e-3
    and 2.5e-5 < prices["MMFF94"] < 3.5e-5
    and 75 < prices["GFN2-xTB"] / prices["MMFF94"] < 100,
)
claim("For 6,000 structures that is a quarter of a minute.", 12 < seconds < 18)
claim(
    "after 3,000 steps it is 300 meV/Å away from MMFF94 and from xTB alike, farther "
    "than xTB is from DFT",
    all(abs(imitation[t] - 300) < 5 for t in ("MMFF94", "GFN2-xTB"))
    and imitation["GFN2-xTB"] > 1.3 * itself["GFN2-xTB"],
)
claim(
    "with 128 random features $\\boldsymbol\\phi$ of the atom's 64 scalars",
    ridge_head.HeadConfig().features == 128,
)
claim(
    "We let some of the potentials run ethanol at 1000 K for five picoseconds",
    HOT_PS == 5 == max(v.max() for by_n in hot.values() for v in by_n.values()),
)
claim(
    "ahead by little in energies up to n = 30",
    all(
        energy["delta"][n].mean() < energy["all weights"][n].mean() for n in (3, 10, 30)
    ),
)
claim(
    "within four per cent of all weights up to n = 30; at n = 100 gradual unfreezing "
    "is ten per cent behind",
    all(
        mean[way][n] < 1.04 * all_weights[n]
        for way in ("discriminative", "gradual unfreezing")
        for n in (3, 10, 30)
    )
    and round(100 * mean["gradual unfreezing"][100] / all_weights[100]) == 110,
)
claim(
    "students of UFF, MMFF94 and GFN2-xTB have 420, 259 and 226 meV/Å",
    [round(error) for error in after[30]] == [420, 259, 226],
)
