"""What lesson 09 states, checked after its last cell, with its variables."""

best = min(v[0] for t in everything.values() for v in t.values())
worst = max(v[0] for t in everything.values() for v in t.values() if v[1] > 0)
one, correlation, same = ({k: v[i] for k, v in scores.items()} for i in range(3))
on_water = sum(name == "water-dft" for name, *_ in won)
molecules, older = tables["molecules"], tables["diabetes"]
water, few = forces["water-dft"], forces["molecules-dft"]
TIED = [molecules["ATBagging", n] for n in SIZES[:3]]
TIED += [older["ATBagging", n] for n in SIZES[:3]]

claim(
    "In our experiments no way of choosing what to label beats drawing lots by more "
    "than five per cent, and going for the oddest structures loses more than that",
    best > -5 and worst > 8 and molecules["farthest points", 10][0] > 5,
)
scalars = selection_data.ridge_head.atom_scalars(
    selection_data.student("molecules-dft"), pool[:1]
)
claim("the scalars of its last layer, 64 an atom", scalars[0].shape[1] == 64)
claim("there are only 84 subsets", len(subsets) == 84)
claim("eigenvectors of $L$ do the same draw exactly", chi2 < 120)
claim(
    "Three in a row of neighbours are the unlikeliest of all, three far apart the "
    "likeliest.",
    probability.max() / probability.min() > 2
    and len(set(nine[list(subsets[order[0]])][:, 0])) == 1
    and distance[np.ix_(subsets[order[-1]], subsets[order[-1]])][0, 1] > 2,
)
claim(
    "with a hundred trees, which is what the released code takes, the order of the "
    "candidates is as good as new",
    abs(correlation["100 trees"]) < 0.2 and same["100 trees"] <= 3,
)
claim(
    "Two nats is what one gets from comparing 63 trees with 37 in ten dimensions when "
    "the candidate makes no difference at all.",
    1.8 < np.median(one["100 trees"]) < 2.6,
)
claim(
    "With 400 trees that floor sinks to 0.4, and a few candidates stand out of it in "
    "both forests",
    0.3 < np.median(one["400 trees"]) < 0.5 and same["400 trees"] >= 4,
)
claim(
    "and becomes negative, which no divergence can be",
    one["100 trees, released code"].min() < 0
    and abs(correlation["100 trees, released code"]) < 0.2,
)
claim(
    "More power, a higher score of the chosen, and, at the highest, a little less of "
    "the map covered.",
    told[-1] > told[0] and (np.diff(told) > 0).all() and reach[-1] > reach[0],
)
claim(
    "A confidence interval that holds zero means: no difference that twenty repeats "
    "could show.",
    len({r["repeat"] for r in rows}) == 20,
)
claim(
    "With a hundred, ATBagging's error is four to five per cent below that of a random "
    "choice.",
    -5 < molecules["ATBagging", 100][0] < -4 and molecules["ATBagging", 100][2] < 0,
)
claim(
    "*Farthest points* is better at all three sizes, by one to two per cent, and "
    "*k-means centres* by as much.",
    all(
        -2.5 < water[method, n][0] < -0.5 and water[method, n][2] < 0
        for method in ("farthest points", "k-means centres")
        for n in (5, 10, 20)
    ),
)
claim("ten chosen so are worth some fifteen drawn by lot", 12 < 10 * 2**doublings < 17)
claim(
    "*Ties:* nearly everywhere else: fewer labels, and the shifted table.",
    all(low < 0 < high for _, low, high in TIED),
)
claim(
    "**farthest points** among molecules of many kinds",
    molecules["farthest points", 10][1] > 0 and few["farthest points", 20][1] > 0,
)
claim(
    "And for forces of molecules with five labels, everything that goes by the "
    "information score (by three to eleven per cent).",
    all(
        2.5 < few[method, 5][0] < 11.5 and few[method, 5][1] > 0
        for method in ("information", "ATBagging", "ATBagging, greedy")
    )
    and not any(v[2] < 0 for v in few.values()),
)
claim(
    "of some ninety comparisons at 95 %, four or five miss zero by luck alone",
    (asked, len(won), on_water, len(lost)) == (85, 14, 9, 6) and 4 < 0.05 * asked < 5,
)
claim(
    "The more stable score of 400 trees is in the tables too, where a forest learns: "
    "it does not change the verdict.",
    all(
        tables[t]["ATBagging, 400 trees", n][0] > -5 for t in tables for n in SIZES[:3]
    ),
)
claim(
    "asking where the committee is least sure is *worse* than drawing lots, by eight "
    "per cent",
    all(
        v[1] > 0 and 7 < v[0] < 10
        for (_, way), v in five_rounds.items()
        if way == "committee"
    ),
)
claim(
    "Drawing by a DPP weighted with the same spread repairs that, and ties with "
    "drawing lots.",
    all(v[1] < 0 < v[2] for (_, way), v in five_rounds.items() if "DPP" in way),
)
claim("A few hundred candidates, of which 5 to 100 are labelled.", 200 < len(X) < 500)
seen = 1 - (1 - 1 / len(X)) ** len(X)  # chance to be in a bootstrap sample
claim("About 63 of the trees saw candidate *i*", round(100 * seen) == 63)
