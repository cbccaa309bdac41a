"""What lesson 09 states, checked after its last cell, with its variables."""

import inspect

from tpainn_lite.reproduce import selection as race

mean = {name: v[0] for name, v in together.items()}
win = {key for key, v in alone.items() if v[2] < 0}
loss = {key for key, v in alone.items() if v[1] > 0}
RANDOM, ONE = "random", "ATBagging"
ONCE = dict(rounds=1, batch=20)


def stays(method, *names):
    """Neither better nor worse in these experiments, after the correction."""
    return all((name, (method, RANDOM)) not in win | loss for name in names)


scalars = selection_data.ridge_head.atom_scalars(
    datasets.checkpoint("molecules-mmff94"), pool[:1]
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
found_scores, correlation, same_ten = (
    {k: v[i] for k, v in scores.items()} for i in range(3)
)
claim(
    "With a hundred trees, the number in the released code, a second seed gives a new "
    "order of the candidates.",
    abs(correlation["100 trees"]) < 0.2 and same_ten["100 trees"] <= 3,
)
claim(
    "A comparison of 63 trees with 37 gives two nats in ten dimensions, even if the "
    "candidate makes no difference.",
    1.8 < np.median(found_scores["100 trees"]) < 2.6,
)
claim(
    "With 400 trees this floor sinks to 0.4. Then a few candidates stand out in both "
    "forests",
    0.3 < np.median(found_scores["400 trees"]) < 0.5 and same_ten["400 trees"] >= 4,
)
chance = 1 - (1 - 1 / len(X)) ** len(X)  # to be in a bootstrap sample
claim("About 63 of the trees saw candidate *i*, and the other 37", 0.63 < chance < 0.64)
claim("Why does a tree see about 63 % of them?", 0.63 < chance < 0.64)
claim("which is about 1/e = 0.37", abs(1 - chance - np.exp(-1)) < 0.005)
claim(
    "The two lists agree no more often than independent ones.",
    abs(agree - seen**2 - (1 - seen) ** 2) < 0.01,
)
arguments = inspect.signature(select.choose).parameters
claim("the released code takes $p = 2$", arguments["power"].default == 2)
claim(
    "some 40 trees at 300 probe points",
    round(1 - chance, 1) == 0.4 and select.PROBES == 300,
)
repeats = {len(v) for v in aulc.values()}
claim("Six experiments, 30 repeats each.", repeats == {30} and len(natural) == 5)
claim(
    "In five experiments, labels that are spread over the candidates lower the error "
    "by about three per cent against a random choice.",
    all(
        -3.5 < mean[method, RANDOM] < -2 and together[method, RANDOM][2] < 0
        for method in ("farthest points", "k-means centres", "DPP")
    ),
)
claim(
    "ATBagging ties with a random choice",
    together[ONE, RANDOM][1] < 0 < together[ONE, RANDOM][2],
)
claim(
    "its information score costs what its diversity gains",
    added[1] > 0 and abs(added[0] + mean["DPP", RANDOM]) < 0.5,
)
claim(
    "the information score *costs* two per cent", 1.5 < added[0] < 2.5 and added[1] > 0
)
claim(
    "Among near copies, spreading gains ten per cent and more.",
    all(
        alone[COPIES, (method, RANDOM)][0] < -10
        for method in ("farthest points", "k-means centres", "DPP", ONE)
    ),
)
claim("Each verdict is from 30 repeats.", repeats == {30})
claim("So the table above has 30 repeats.", repeats == {30})
years, day, by_counts, by_scalars, ours = natural
every = [arm for arm, then in arms if then == RANDOM]
claim(
    "**PM2.5, other years** (days of candidates and test; rows of the old years): "
    "information alone loses. All others tie.",
    (years, ("information", RANDOM)) in loss
    and all(stays(m, years) for m in every if m != "information"),
)
claim(
    "**PM2.5, day before** (days of candidates and test): no method differs.",
    all(stays(method, day) for method in every),
)
claim(
    "**QM9 scalars** (molecules of candidates and test): no method differs.",
    all(stays(method, by_scalars) for method in every),
)
claim(
    "**Our molecules** (molecules of candidates and test): no method differs.",
    all(stays(method, ours) for method in every),
)
claim(
    "information alone loses twelve per cent, and ATBagging six. All others tie.",
    {(by_counts, (m, RANDOM)) for m in ("information", ONE)} <= loss
    and round(alone[by_counts, ("information", RANDOM)][0]) == 12
    and round(alone[by_counts, (ONE, RANDOM)][0]) == 6
    and all(stays(m, by_counts) for m in every if m not in ("information", ONE)),
)
claim(
    "all methods gain except information alone.",
    all((COPIES, (m, RANDOM)) in win for m in every if m != "information")
    and stays("information", COPIES),
)
asked = {way: together[RANDOM, way] for way in select.ACQUISITIONS[1:]}
claim(
    "After random labels, the committee's favourites lose one per cent against further "
    "random labels. A DPP weighted with the same spread gains one per cent. Both "
    "intervals nearly reach zero.",
    0 < asked["committee"][1] < 0.2
    and -0.2 < asked["DPP of the committee"][2] < 0
    and [round(v[0]) for v in asked.values()] == [1, -1],
)
claim("In that table, 20 more labels come in one round.", race.AFTER == ONCE)
claim("here the mean error with *n* chosen labels and with 20 more", race.AFTER == ONCE)
claim("In each repeat, 250 candidates and the test rows", race.POOL == 250)
claim(
    "averaged over *n* = 10, 20, 50 and 100", SIZES == race.SIZES == (10, 20, 50, 100)
)
claim(
    "has 40 probe points in the race, not 300",
    (race.PROBES, select.PROBES) == (40, 300),
)
wider = select.paired(aulc[day, "DPP", RANDOM, 10], aulc[day, RANDOM, RANDOM, 10], 60)
plain = select.paired(aulc[day, "DPP", RANDOM, 10], aulc[day, RANDOM, RANDOM, 10])
claim(
    "so that *all* hold at once in 95 % of cases",
    wider[2] - wider[1] > 1.5 * (plain[2] - plain[1]),
)
claim(
    "the mean of the five experiments that we did not make up, with a 95 % interval",
    len(natural) == 5,
)
claim(
    "ATBagging was better than a random choice in one of six experiments, tied in "
    "four, and was worse in one. So five of six agree with the abstract.",
    sum((name, (ONE, RANDOM)) in win for name in experiments) == 1
    and sum((name, (ONE, RANDOM)) in loss for name in experiments) == 1,
)
claim("On average the DPP without a score did better.", added[1] > 0)

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
