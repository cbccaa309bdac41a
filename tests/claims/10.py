"""What lesson 10 states of its example, checked after its last cell."""

import inspect

from tpainn_lite import units  # noqa: F401  # a wrong answer has it

claim(
    "the last of eleven structures has no forces: its calculation ended too early. The "
    "reader leaves this structure out, names it (frames count from 0), and keeps the "
    "other ten.",
    not own and len(found.frames) == 10 and "frame 10" in " ".join(found.notes),
)
claim(
    "It also notes that the energies are as large as total energies in kcal/mol.",
    "total energies in kcal/mol" in " ".join(read_as["read as eV/Å"].notes),
)
claim(
    "Read as eV/Å, the labels of the example are 24 times as large as the forces of "
    "the pretrained potential. Read as kcal/mol/Å, the slope is close to 1.",
    [*map(round, slopes.values())] == [24, 1],
)
claim(
    "A potential learns from eight structures and is tested on the other two, five "
    "times.",
    len(tuned.committee) == 5 == len(own_data.folds(tuned.frames)[0])
    and {len(fold) for fold in own_data.folds(tuned.frames)[0]} == {2},
)
claim(
    "eight labels remove more than a third of its force error.",
    tuned.error < before * 2 / 3 and tuned.unit == "meV/Å",
)
claim(
    "tuning lowers the force error of a pretrained network, and cross-validation says "
    "how large the error that remains is.",
    measured < before and low < measured < high,
)
claim("100 of its structures were not used above", len(further) == 100)
claim(
    "The error of the 100 further structures lies inside the interval.",
    low < measured < high,
)
small = np.abs(given) < np.median(np.abs(given))
mean_error = [np.abs(predicted - given)[part].mean() for part in (small, ~small)]
claim(
    "The points scatter evenly around the line, at small and at large forces.",
    mean_error[1] < 2 * mean_error[0]
    and abs(np.mean(predicted - given)) < 0.1 * np.mean(mean_error),
)
hot = inspect.signature(own_data.label_next).parameters["temperature"].default
claim("for 2 ps at 600 K", hot == 600 and "2 ps" in " ".join(trial.lines()))
claim("Of 40 structures on the way it draws ten", len(wanted) == 10)
claim("Its forces are wrong by some 170 meV/Å on the example.", abs(before - 170) < 10)
claim(
    "On the labelled structures the committee disagrees by less than half of the "
    "error.",
    spread["labelled"] < 0.5 * tuned.error and spread["chosen"] > spread["labelled"],
)
wiggle = {name: np.ptp(energies[k]) for name, k in parts.items()}
claim(
    "With the thermostat the molecule exchanges energy with the bath, so its total "
    "energy fluctuates. Without it the total energy is constant.",
    wiggle["no thermostat"] < 0.1 * wiggle["thermostat"] and trial.broken == 0,
)
claim("its mean over 0.5 ps may be off by tens of kelvin", abs(trial.kelvin - 300) < 60)

wrong(
    1,
    "outside = lambda errors, low, high: (np.asarray(errors) > high).mean()",
    "outside = lambda errors, low, high: sum(not low < e < high for e in errors)",
    "outside = lambda errors, low, high: np.mean([low <= e <= high for e in errors])",
)
wrong(
    2,
    "slope = lambda unit: 1.0",
    "slope = lambda unit: 1 / units.LABEL_UNITS[unit][0]",
    "slope = lambda unit: guess @ guess / (forces(found.frames) @ guess)",
)
wrong(
    3,
    "doubtful = lambda frames: np.arange(len(frames))",
    "doubtful = lambda frames: np.array([], int)",
    "doubtful = lambda frames: np.array([len(frames) - 1])",
)
