"""Claims of lesson 00, checked in its kernel after its last cell."""

curve = [*race.errors["scratch"].values()]
lost = error["scratch"] - error["tuned"]

claim(
    "a network that learned a force field first has less than half the force error of "
    "one that starts from random weights. In one run it keeps all bonds.",
    error["tuned"] < 0.5 * error["scratch"] and len(broken["tuned"]) == 0,
)
claim(
    "nor any molecule with the same skeleton",
    all(a.info["smiles"] not in {b.info["smiles"] for b in three} for a in test),
)
claim("for 600 steps each", race.steps == 600)
claim("each is tested on 20 structures of unseen molecules", len(watched) == 20)
claim(
    "The error falls at first. Then it rises again",
    min(curve) < 0.9 * curve[0] and curve[-1] > 1.1 * min(curve),
)
claim(
    'It ends at about 820 meV/Å; "no force" has 940.',
    abs(error["scratch"] - 820) < 12 and round(1000 * size) == 940,
)
claim(
    "The pretrained network stands at 260 meV/Å before it has seen one quantum force. "
    "The three labels take it to 232 meV/Å, a little below its teacher's 249.",
    [round(error[k]) for k in ("zero-shot", "MMFF94")] == [260, 249]
    and abs(error["tuned"] - 232) < 1,
)
claim(
    "So most of the gain is the pretraining.",
    error["scratch"] - error["zero-shot"] > 0.9 * lost,
)
claim(
    "moves for one picosecond (1,000 fs) at 300 K",
    len(runs["tuned"]) == 100 and runs["tuned"][-1].info["time_fs"] == 1000,
)
claim(
    "A bond counts as broken here when it is 1.5 times as long as at the start.",
    np.array_equal(long, lengths > 1.5 * at_start),
)
claim(
    "loses the molecule within a quarter of a picosecond",
    len(broken["scratch"]) > 0 and whole["scratch"] < 250,
)
claim(
    "Bonds stretch from 1.5 Å to more than 2 Å and stay long",
    runs["scratch"][-1].get_all_distances()[*broken["scratch"].T].min() > 2
    and abs(first.get_all_distances()[*broken["scratch"].T] - 1.5).max() < 0.1,
)
claim("The tuned network keeps every bond", whole["tuned"] >= 1000)
claim(
    "Three labels gave us 232 instead of 820 meV/Å.",
    abs(error["tuned"] - 232) < 1 and abs(error["scratch"] - 820) < 12,
)
wrong(
    1,
    "share = 100 * (1 - error['tuned'] / error['scratch'])",
    "share = 100 * error['zero-shot'] / error['scratch']",
    "share = (error['scratch'] - error['zero-shot']) / lost",
)
wrong(
    2,
    "(drawn,) = data.split(sets['pool'], 3, seed=2)\nagain = error['tuned']",
    "again = error['zero-shot']",
    "again = 0.2324",
)
