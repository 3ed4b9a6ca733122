"""Every optimiser with every combination of its options."""

import itertools


def grid(**options):
    return [dict(zip(options, values)) for values in itertools.product(*options.values())]


BOTH = [False, True]
CASES = [
    *[
        ("SGD", o)
        for o in grid(lr=[0.1], momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1], nesterov=BOTH, maximize=BOTH)
        if not o["nesterov"] or (o["momentum"] and not o["dampening"])
    ],
    *[("Adam", o) for o in grid(lr=[0.01], weight_decay=[0, 0.1], amsgrad=BOTH, maximize=BOTH, decoupled_weight_decay=BOTH)],
    *[("AdamW", o) for o in grid(lr=[0.01], betas=[(0.8, 0.99)], amsgrad=BOTH, maximize=BOTH)],
    *[("RMSprop", o) for o in grid(weight_decay=[0, 0.1], momentum=[0, 0.9], centered=BOTH, maximize=BOTH)],
    *[
        ("Adagrad", o)
        for o in grid(lr=[0.1], lr_decay=[0, 0.01], weight_decay=[0, 0.1], initial_accumulator_value=[0, 0.5], maximize=BOTH)
    ],
    *[("Adadelta", o) for o in grid(rho=[0.9, 0.5], weight_decay=[0, 0.1], maximize=BOTH)],
    *[("Adamax", o) for o in grid(weight_decay=[0, 0.1], maximize=BOTH)],
    *[("NAdam", o) for o in grid(weight_decay=[0, 0.1], decoupled_weight_decay=BOTH, maximize=BOTH)],
    *[("RAdam", o) for o in grid(weight_decay=[0, 0.1], decoupled_weight_decay=BOTH, maximize=BOTH)],
]
ALL = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"]
