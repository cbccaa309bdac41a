"""What lesson 09 states, checked after its last cell, with its variables."""

import inspect

from scipy import stats

from tpainn_lite.reproduce import selection as race
from tpainn_lite.reproduce import selection_forces as forces_race

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
beaten = np.linalg.det(L[np.ix_(g := select.greedy_dpp(B, 3), g)]) + 1e-9
claim("Four subsets beat the greedy choice, by little.", (weights > beaten).sum() == 4)
found_scores, correlation, same_ten = (
    {k: v[i] for k, v in scores.items()} for i in range(3)
)
claim(
    "With a hundred trees, the number in the released code, a second seed gives a new "
    "order of the candidates.",
    abs(correlation["100 trees"]) < 0.2 and same_ten["100 trees"] <= 3,
)
claim(
    "A comparison of 63 trees with 37, in ten principal components of what they "
    "predict, gives two nats even if the candidate makes no difference.",
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
claim("1 nat = 1.44 bits", abs(1 / np.log(2) - 1.44) < 0.005)
claim("Of the six ways that ask no committee", len(select.METHODS) == 7)
claim("which is about 1/e = 0.37", abs(1 - chance - np.exp(-1)) < 0.005)
claim(
    "The two lists agree no more often than independent ones.",
    abs(agree - seen**2 - (1 - seen) ** 2) < 0.01,
)
arguments = inspect.signature(select.choose).parameters
claim("the released code takes $p = 2$", arguments["power"].default == 2)
claim(
    "some 40 trees are compared at 300 probe points",
    round(1 - chance, 1) == 0.4 and select.PROBES == 300,
)
repeats = {len(v) for v in aulc.values()}
claim("Six experiments, 30 repeats each.", repeats == {30} and len(natural) == 5)
SPREAD = ("farthest points", "k-means centres", "DPP")
claim(
    "On average over five experiments, labels that are spread over the candidates "
    "lower the error by two to three per cent against a random choice.",
    all(-3 < mean[m, RANDOM] < -2 and together[m, RANDOM][2] < 0 for m in SPREAD),
)
claim(
    "In no single one of the five is a gain certain.",
    not any(name in natural for name, _ in win),
)
claim(
    "Otherwise spreading gains two to three per cent on average",
    all(-3 < mean[m, RANDOM] < -2 for m in SPREAD),
)
claim(
    "ATBagging ties with a random choice",
    together[ONE, RANDOM][1] < 0 < together[ONE, RANDOM][2],
)
claim(
    "on average its information score costs what its diversity gains",
    abs(added["mean of the five"][0] + mean["DPP", RANDOM]) < 0.5,
)
claim(
    "the information score *costs* two per cent on average.",
    1.5 < added["mean of the five"][0] < 2.5 and added["mean of the five"][1] > 0,
)
years, day, by_counts, by_scalars, ours = natural
claim(
    "It costs in two of five experiments",
    all((added[name][1] > 0) == (name in (day, by_counts)) for name in natural)
    and all(added[name][2] > 0 for name in natural),
)
claim(
    "corrected for five intervals, in QM9 counts alone.",
    [k for k in natural if select.paired(less[k], 0 * less[k], 5)[1] > 0]
    == [by_counts],
)
ten = {m: [gap(name, m, sizes=[10]) for name in natural] for m in select.METHODS[1:]}
claim(
    "With ten labels, as in our question, no gain is certain.",
    all(select.paired(g := np.mean(v, axis=0), 0 * g)[2] > 0 for v in ten.values()),
)
claim("On average the DPP gains two per cent there.", round(np.mean(ten["DPP"])) == -2)
claim(
    "Among near copies, spreading gains ten per cent and more.",
    all(
        alone[COPIES, (method, RANDOM)][0] < -10
        for method in ("farthest points", "k-means centres", "DPP", ONE)
    ),
)
claim("So the table above has 30 repeats.", repeats == {30})
every = [arm for arm, then in arms if then == RANDOM]
claim(
    "**PM2.5, other years**: information alone loses. All others tie.",
    (years, ("information", RANDOM)) in loss
    and all(stays(m, years) for m in every if m != "information"),
)
claim(
    "**PM2.5, day before**, **QM9 scalars** and **our molecules**: no method differs.",
    all(stays(method, day, by_scalars, ours) for method in every),
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
    "random labels. A DPP weighted with the same spread gains one per cent.",
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
rank = {
    probes: np.linalg.matrix_rank(
        np.cov([tree.predict(X[:probes]) for tree in bag.estimators_[:37]], rowvar=0)
    )
    for probes in (race.PROBES, select.PROBES)
}
claim(
    "it has 40 probe points, not 300, so that covariances have almost full rank.",
    rank[40] > 0.8 * 40 and rank[300] < 0.2 * 300,
)
claim("The quality has a floor of 10⁻⁶, and the sampler is ours.", race.LEAST == 1e-6)
boxes, tested = (len(datasets.load("water-dft")[part]) for part in ("pool", "test"))
claim(
    "250 candidates of about 430 (our molecules) or 2,000 (QM9), 56 boxes of 84, "
    "tested on 14 of 28.",
    abs((~held).sum() - 430) < 10
    and (race.QM9, forces_race.BOXES, boxes, forces_race.BOXES_TEST, tested)
    == (2000, 56, 84, 14, 28),
)
tied = {key: low < 0 < high for key, (_, low, high) in forced.items()}
oracle = "our molecules", forces_race.ORACLE
claim(
    "In water no choice differs from a random one. For our molecules the DPP and "
    "ATBagging tie, too. A gain of two per cent may hide in these intervals. But "
    "there the rival that knows the errors loses 7.5 per cent.",
    [key for key, tie in tied.items() if not tie] == [oracle]
    and round(forced[oracle][0], 1) == 7.5
    and all(-4 < v[1] < -2 for (_, m), v in forced.items() if m in ("DPP", ONE)),
)
claim(
    "For the forces of a tuned network no gain is certain.",
    not any(high < 0 for _, _, high in forced.values()),
)
few = forces_race.EXPERIMENTS
claim(
    "In ten repeats, candidates and test are drawn anew. Liquid water has 5, "
    "10 and 20 boxes from 56 candidates, our molecules 10 and 30 structures from 250.",
    {len(v) for v in errors.values()} == {10}
    and [one.sizes for one in few.values()] == [(5, 10, 20), (10, 30)]
    and forces_race.POOL == 250,
)


def family(found, *g):
    """Count the intervals for which Bonferroni's correction was made."""
    t = (found[2] - found[0]) / stats.sem(np.mean(g, axis=0))
    return round(0.025 / stats.t.sf(t, len(g[0]) - 1))


in_pairs = {
    (name, method): [
        100 * (v - errors[name, "random", n]) / errors[name, "random", n].mean()
        for (e, m, n), v in errors.items()
        if (e, m) == (name, method)
    ]
    for name, method in forced
}
claim(
    "they are corrected for six comparisons",
    {family(v, *in_pairs[key]) for key, v in forced.items()} == {6} == {len(forced)},
)
claim(
    "Bonferroni's correction makes all intervals wider: for ten means in the first "
    "column, for 60 differences in the others. So in each column *all* "
    "hold at once in 95 % of cases.",
    {family(v, gap(k, *arm)) for (k, arm), v in alone.items()} == {60}
    and {family(v, *[gap(k, *a) for k in natural]) for a, v in together.items()} == {10}
    and (len(alone), len(together)) == (60, 10),
)
claim(
    "the mean of the five experiments that we did not make up, with a 95 % interval",
    len(natural) == 5,
)
claim(
    "ATBagging was better than a random choice in one of six experiments (our "
    "control), tied in four, and was worse in one. So five of six agree "
    "with the abstract.",
    [name for name in experiments if (name, (ONE, RANDOM)) in win] == [COPIES]
    and sum((name, (ONE, RANDOM)) in loss for name in experiments) == 1,
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
