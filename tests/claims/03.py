"""Claims of lesson 03, checked in its kernel after its last cell."""

ridge, least_squares = "ridge towards free atoms + bonds", "plain least squares"
claim(
    "this is not a fit but a guess, unless one knows something beforehand",
    missed[ridge] < 0.1 * missed[least_squares],
)
claim(
    "tears up what the network knew about forces on the way",
    harm["tuned, reference energies skipped"] > harm["before tuning"]
    and harm["tuned, reference energies fitted"] < harm["before tuning"],
)
pulled, free = runs["pull 0.3 / n (our default)"][1], runs["no pull"][1]
claim(
    "What the free run learns afterwards is about these three molecules only, and "
    "costs the others.",
    pulled[-1] < 0.97 * free[-1] and free[-1] > free.min(),
)

scratch, longer, tuned = (
    mean[arm] for arm in ("scratch", "scratch, 5x longer", "tuned")
)
claim(
    "A network that has already learned a force field predicts forces better after 3 "
    "quantum-labelled structures than one that starts from scratch does after 300, at "
    "equal steps.",
    tuned[3] < scratch[300],
)
claim(
    "The pretrained network, without a single quantum force, already beats a network "
    "from scratch with three hundred quantum labels and the same steps",
    mean["zero-shot"][3] < scratch[300],
)
gains = [1 - tuned[n] / mean["zero-shot"][n] for n in (3, 100, 300)]
claim(
    "Tuning takes it further, by about a tenth with 3 labels, a quarter with 100 and a "
    "third with 300.",
    0.05 < gains[0] < 0.15 and 0.25 < gains[1] < 0.3 and 0.3 < gains[2] < 0.36,
)
claim("With 10 labels five times the steps make it worse", longer[10] > scratch[10])
claim(
    "With 100 they make it slightly better. With 300 they take off a quarter",
    0.85 < longer[100] / scratch[100] < 1 and 0.7 < longer[300] / scratch[300] < 0.8,
)
claim(
    "then it does as well as the tuned network did with three",
    0.95 < tuned[3] / longer[300] < 1.05,
)
claim(
    "10 tuned labels = more than 300 labels of scratch",
    all(equivalent(tuned[n], "scratch") is None for n in (3, 10, 30)),
)
claim(
    "The tuned networks get there sooner, and the scratch curves flatten, or turn up "
    "again, above them",
    all(
        tracks[f"tuned, n = {n}"][1][-1] < 0.95 * tracks[f"scratch, n = {n}"][1].min()
        for n in (10, 100)
    ),
)

advantage = {n: energy_mean["tuned"][n] / energy_mean["scratch"][n] for n in tuned}
claim("So we expect much less help here.", advantage[3] > tuned[3] / scratch[3])
claim(
    "From ten labels on, pretraining on MMFF94 buys nothing here, and at 30 it costs",
    min(advantage[n] for n in (10, 30, 100, 300)) > 0.85 and advantage[30] > 1.2,
)
at_100 = {arm: by_n[100] for arm, by_n in energy_mean.items() if 100 in by_n}
claim(
    "with 100 labels the network that trained five times longer has the best energies "
    "of all",
    min(at_100, key=at_100.get) == "scratch, 5x longer",
)
claim("The forces turn with the molecule; tuning kept the symmetry.", difference < 1e-3)

ethanol = [a for a in pool + test if a.info["smiles"] == "CCO"]
claim(
    "Ethanol's DFT energy is about −4,218 eV",
    all(abs(a.get_potential_energy() + 4218) < 1 for a in ethanol) and len(ethanol) > 0,
)
claim(
    "the network has 157,313 weights",
    sum(weights.numel() for weights in student.parameters()) == 157_313,
)
configs = grid["configs"]
claim(
    "the same 600 optimiser steps of up to five structures, and the same schedule",
    all((c["steps"], c["batch_size"]) == (600, 5) for c in configs.values()),
)
claim(
    "10⁻³ from scratch and 10⁻⁴ for tuning",
    (configs["scratch"]["lr"], configs["tuned"]["lr"]) == (1e-3, 1e-4),
)
claim(
    "With 300 labels tuning gains from more steps, too",
    mean["tuned, 5x longer"][300] < 0.95 * tuned[300],
)
card = datasets.card("molecules-mmff94")["card"]
seen = card["training"]["steps"] * card["training"]["batch_size"] / card["structures"]
claim(
    "The shipped checkpoint saw 61,000 structures about two and a half times each.",
    61_000 < card["structures"] < 62_000 and 2.4 < seen < 2.6,
)
