"""What lesson 09 states, checked after its last cell, with its variables."""

import inspect

best = min(v[0] for t in everything.values() for v in t.values())
worst = max(v[0] for t in everything.values() for v in t.values() if v[1] > 0)
one, correlation, same = ({k: v[i] for k, v in scores.items()} for i in range(3))
on_water = sum(name == "water-dft" for name, *_ in won)
molecules, older = tables["molecules"], tables["diabetes"]
water, few = forces["water-dft"], forces["molecules-dft"]
TIED = [molecules["ATBagging", n] for n in SIZES[:3]]
TIED += [older["ATBagging", n] for n in SIZES[:3]]

claim(
    "In our experiments no way of choosing what to label beats a random choice by more "
    "than five per cent. Choosing the oddest structures can lose more than that.",
    best > -5 and worst > 8 and molecules["farthest points", 10][0] > 5,
)
scalars = selection_data.ridge_head.atom_scalars(
    selection_data.student("molecules-dft"), pool[:1]
)
claim("the scalars of its last layer, 64 for each atom", scalars[0].shape[1] == 64)
claim("There are only 84 subsets", len(subsets) == 84)
claim("The eigenvectors of $L$ give the same draw exactly", chi2 < 120)
claim(
    "Three in a row of neighbours are the least likely subset, and three far apart are "
    "the most likely.",
    probability.max() / probability.min() > 2
    and len(set(nine[list(subsets[order[0]])][:, 0])) == 1
    and distance[np.ix_(subsets[order[-1]], subsets[order[-1]])][0, 1] > 2,
)
claim(
    "With a hundred trees, the number in the released code, a second seed gives a new "
    "order of the candidates.",
    abs(correlation["100 trees"]) < 0.2 and same["100 trees"] <= 3,
)
claim(
    "A comparison of 63 trees with 37 gives two nats in ten dimensions, even if the "
    "candidate makes no difference.",
    1.8 < np.median(one["100 trees"]) < 2.6,
)
claim(
    "With 400 trees this floor sinks to 0.4. Then a few candidates stand out in both "
    "forests",
    0.3 < np.median(one["400 trees"]) < 0.5 and same["400 trees"] >= 4,
)
claim(
    "and becomes negative, which is impossible for a divergence.",
    one["100 trees, released code"].min() < 0
    and abs(correlation["100 trees, released code"]) < 0.2,
)
reach, told = np.array([[*row.values()] for row in by_power.values()]).T
claim(
    "A higher power gives chosen candidates with a higher score. At all powers, "
    "the chosen candidates cover the map about as well.",
    (np.diff(told) > 0).all() and np.ptp(reach) < 0.1,
)
claim(
    "A confidence interval that contains zero means: no difference that twenty repeats "
    "could show.",
    len({r["repeat"] for r in rows}) == 20,
)
claim(
    "With a hundred labels, the error of ATBagging is four to five per cent below that "
    "of a random choice.",
    -5 < molecules["ATBagging", 100][0] < -4 and molecules["ATBagging", 100][2] < 0,
)
claim(
    "*Farthest points* gains one to two per cent at all three sizes, and *k-means "
    "centres* gains as much.",
    all(
        -2.5 < water[method, n][0] < -0.5 and water[method, n][2] < 0
        for method in ("farthest points", "k-means centres")
        for n in (5, 10, 20)
    ),
)
drawn = [
    column(BASE, "force_mae", experiment="water-dft", n=n).mean() for n in (10, 20)
]
saved = -water["farthest points", 10][0] / 100 * drawn[0]  # meV/Å
doublings = saved / (drawn[0] - drawn[1])
claim(
    "ten chosen boxes are worth some fifteen random ones", 12 < 10 * 2**doublings < 17
)
claim(
    "nearly everywhere else, with fewer labels and in the table of patients.",
    all(low < 0 < high for _, low, high in TIED),
)
claim(
    "**farthest points** among molecules of many kinds",
    molecules["farthest points", 10][1] > 0 and few["farthest points", 20][1] > 0,
)
claim(
    "For forces of molecules with five labels, all methods that use the information "
    "score lose, by three to eleven per cent.",
    all(
        2.5 < few[method, 5][0] < 11.5 and few[method, 5][1] > 0
        for method in ("information", "ATBagging", "ATBagging, greedy")
    )
    and not any(v[2] < 0 for v in few.values()),
)
claim(
    "There are 85 comparisons at 95 %, so four or five miss zero by chance.",
    (asked, len(won), on_water, len(lost)) == (85, 14, 9, 6) and 4 < 0.05 * asked < 5,
)
claim(
    "The more stable score of 400 trees is in the tables where a forest learns. It "
    "does not change the verdict.",
    all(
        tables[t]["ATBagging, 400 trees", n][0] > -5 for t in tables for n in SIZES[:3]
    ),
)
claim(
    "asking where the committee is least sure is *worse* than a random choice, by "
    "eight per cent",
    all(
        v[1] > 0 and 7 < v[0] < 10
        for (_, way), v in five_rounds.items()
        if way == "committee"
    ),
)
claim(
    "A DPP weighted with the same spread repairs this, and shows no difference from a "
    "random choice.",
    all(v[1] < 0 < v[2] for (_, way), v in five_rounds.items() if "DPP" in way),
)
claim("A few hundred candidates, of which 5 to 100 are labelled.", 200 < len(X) < 500)
seen = 1 - (1 - 1 / len(X)) ** len(X)  # chance to be in a bootstrap sample
claim("About 63 of the trees saw candidate *i*, and the other 37", 0.63 < seen < 0.64)
claim("Why does a tree see about 63 % of them?", 0.63 < seen < 0.64)
claim("which is about 1/e = 0.37", abs(1 - seen - np.exp(-1)) < 0.005)
arguments = inspect.signature(select.choose).parameters
claim("the released code takes $p = 2$", arguments["power"].default == 2)
claim(
    "some 40 trees at 300 probe points",
    round(1 - seen, 1) == 0.4 and select.PROBES == 300,
)

wrong(
    1,
    'verdict = lambda low, high: "better" if low > 0 else "worse"',
    'verdict = lambda low, high: "better" if low + high < 0 else "worse"',
    'verdict = lambda low, high: "no difference" if low < 0 else "worse"',
)
wrong(
    2,
    "probabilities = lambda length: np.full(84, 1 / 84)",
    "probabilities = lambda length: probability",
    "probabilities = lambda length: np.exp(-length) * weights",
)
