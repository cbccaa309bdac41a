"""What lesson 08 states of its example, checked after its last cell."""

tuned, scratch = np.array(curve["tuned"]), np.array(curve["scratch"])
kcal, _ = own_data.UNITS["kcal/mol/Å"]

claim(
    "Without either, the lesson runs on an example: eighty structures of ethanol, as a "
    "colleague might send them.",
    not own and len(found.frames) == 80,
)
claim("On the example nothing happens here: ethanol is covered.", start != own_data.OWN)
claim(
    "Its forces are roughly right, so the *ratio* of the labels to them tells the "
    "unit.",
    "kcal/mol/Å" in doubt and still is None,
)
claim(
    "kcal/mol/Å are 23 times smaller than eV/Å",
    round(1 / kcal) == 23,
)
claim(
    "error in meV/Å on the test structures against the number of your labels, for the "
    "tuned checkpoint, for a network from scratch and, flat, before tuning.",
    (tuned < 0.7 * scratch).all(),
)
claim(
    "On the example the disagreement ranks the test structures fairly well, and the "
    "error is twice as large as it",
    0.3 < agreement < 0.9 and 1.5 < ratio < 2.7,
)
example = datasets.load("ethanol-dft")["pool"][: len(found.frames)]
claim(
    "Run the tuned potential, hotter than your data",
    max(a.info["temperature"] for a in example) < KELVIN,
)
