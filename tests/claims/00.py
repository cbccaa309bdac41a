"""Claims of lesson 00, checked in its kernel after its last cell."""

claim(
    "A neural network that has first learned cheap classical physics needs far fewer "
    "quantum labels afterwards",
    error["tuned"] < 0.6 * error["scratch"],
)
claim(
    "Other molecules, the same order: both errors move with the draw, the gap stays.",
    again["tuned"] < 0.6 * again["scratch"],
)
