"""What changes over a training: learning rates, the weight of the KL term; and what is said when it goes wrong."""

import math
import re

import numpy as np
import pytest

import nnscratch as nns
from nnscratch import optim
from nnscratch.cli import main
from nnscratch.training import advice
from nnscratch.training.annealing import kl_weight
from nnscratch.training.schedule import SCHEDULES, schedule
from nnscratch.training.tasks import TASKS


def rates(name, steps):
    optimizer = optim.SGD([nns.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = schedule(name, optimizer, steps)
    seen = []
    for _ in range(steps + 1):
        seen.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    return seen


def test_learning_rates_fall_as_said():
    np.testing.assert_allclose(rates("linear", 4), [2, 1.5, 1, 0.5, 0])
    np.testing.assert_allclose(rates("cosine", 4), [1 + math.cos(math.pi * t / 4) for t in range(5)], atol=1e-12)
    np.testing.assert_allclose(rates("steps", 8), [2, 2, 2, 2, 0.2, 0.2, 0.02, 0.02, 0.02])
    np.testing.assert_allclose(rates("exponential", 2), [2, 0.2, 0.02])
    assert schedule("constant", None, 5) is None
    assert set(SCHEDULES) == {"constant", "linear", "cosine", "steps", "exponential", "plateau"}
    with pytest.raises(ValueError, match="unknown schedule 'square'"):
        schedule("square", None, 5)


def test_a_schedule_goes_on_where_it_was():
    optimizer = optim.SGD([nns.zeros(1, requires_grad=True)], lr=2.0)
    first = schedule("cosine", optimizer, 10)
    for _ in range(3):
        first.step()
    second = schedule("cosine", optim.SGD([nns.zeros(1, requires_grad=True)], lr=2.0), 10)
    second.load_state_dict(first.state_dict())
    second.step()
    first.step()
    assert second.get_last_lr() == first.get_last_lr()


def test_several_optimisers_move_together():
    def two():
        return {name: optim.SGD([nns.zeros(1, requires_grad=True)], lr=lr) for name, lr in (("a", 2.0), ("b", 0.5))}

    optimizers = two()
    first = schedule("linear", optimizers, 4)
    first.step()
    assert [o.param_groups[0]["lr"] for o in optimizers.values()] == [1.5, 0.375]
    again = two()
    second = schedule("linear", again, 4)
    second.load_state_dict(first.state_dict())
    second.step()
    assert [o.param_groups[0]["lr"] for o in again.values()] == [1.0, 0.25]
    with pytest.raises(ValueError, match="'plateau' is for systems with one loss"):
        schedule("plateau", optimizers, 4)


def test_kl_weights():
    assert [kl_weight(s, "none") for s in (0, 10**6)] == [1, 1]
    assert [kl_weight(s, "linear", steps=10) for s in (0, 5, 10, 11)] == [0, 0.5, 1, 1]
    cyclic = [kl_weight(s, "cyclic", steps=16, cycles=2) for s in range(18)]
    assert cyclic == [0, 0.25, 0.5, 0.75, 1, 1, 1, 1] * 2 + [1, 1]
    assert [kl_weight(s, "drop", beta=0.05, steps=10) for s in (0, 9, 10, 11)] == [1, 1, 0.05, 0.05]
    assert [kl_weight(s, "late", beta=4, steps=8) for s in (0, 4, 6, 8, 9)] == pytest.approx([0.1, 0.1, 2.05, 4, 4])
    assert [kl_weight(s, "linear", beta=4, steps=10) for s in (0, 5, 10)] == [0, 2, 4] and kl_weight(0, "none", beta=4) == 4
    for wrong in ({"shape": "square"}, {"steps": 0}, {"cycles": 0}, {"ramp": 0.0}):
        with pytest.raises(ValueError, match="kl_weight: expected"):
            kl_weight(1, **{"shape": "linear", **wrong})


def history(**series):
    length = len(next(iter(series.values())))
    return [{"epoch": i + 1, **{name: values[i] for name, values in series.items()}} for i in range(length)]


def test_a_rising_loss_is_noticed():
    assert advice.rising(history(train_loss=[1.0, 1.1, 1.2])) is None
    assert advice.rising(history(train_loss=[1.0, 0.9, 1.2, 1.3])) is None
    assert "for 3 epochs the training loss has risen" in advice.rising(history(train_loss=[1.0, 1.1, 1.2, 1.3]))
    assert advice.rising([{"epoch": 1}]) is None


def test_learning_by_heart_is_noticed():
    falling = [1 / (i + 1) for i in range(8)]
    text = advice.overfitting(history(train_loss=falling, test_loss=[1, 0.8, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0]))
    assert "lowest in epoch 3" in text
    assert advice.overfitting(history(train_loss=falling, test_loss=[1, 0.8, 0.7, 0.7, 0.71, 0.7, 0.71, 0.72])) is None
    assert advice.overfitting(history(train_loss=falling[::-1], test_loss=[1, 0.8, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0])) is None
    validated = history(train_loss=falling, test_loss=falling, validation_loss=[1, 0.8, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0])
    assert "lowest in epoch 3" in advice.overfitting(validated)
    assert advice.overfitting([{"epoch": 1}]) is None


def test_learning_by_heart_is_noticed_beside_a_reader_of_labels():
    """Its losses have other names, and that of the model the reader's in it: what counts is made of the terms."""
    task = TASKS["window-vae"]()
    rows = history(
        train_vae_loss=[-float(k) for k in range(8)],
        train_reader_loss=[1.8] * 8,
        train_reconstruction=[200.0 - k for k in range(8)],
        train_kl=[10.0 + 0.2 * k for k in range(8)],  # at beta 2: 0.4 dearer in each epoch
        test_loss=[220, 218, 216, 220, 225, 230, 235, 240.0],
        test_active=[8] * 8,
        test_kl=[10.0] * 8,
    )
    (text,) = task.advice(rows, 8)
    assert text.startswith("overfitting: the loss on images held out was lowest in epoch 3")
    assert task.advice([row | {"train_kl": 10 + row["epoch"]} for row in rows], 8) == [], "the code has become dearer instead"
    assert task.advice([row | {"test_loss": 220 - row["epoch"]} for row in rows], 8) == []


def test_a_classifier_that_guesses_is_noticed():
    for classes, guess, better in ((10, 0.12, 0.3), (2, 0.52, 0.7)):
        assert f"{1 / classes:.0%} of each" in advice.guessing(history(test_recall=[0.5, 0.5, guess]), classes)
        assert advice.guessing(history(test_recall=[0.1, 0.1, better]), classes) is None
        assert advice.guessing(history(test_recall=[guess, guess]), classes) is None, "the beginning is given time"


def test_what_is_worse_than_no_model_is_noticed():
    worse = history(test_psnr=[9.0, 9.0, 18.0], test_plain_psnr=[20.0] * 3)
    assert "worse than a filter, 18.0 against 20.0 dB" in advice.no_better(worse, "test_plain_psnr", "a filter")
    assert advice.no_better(worse[:2], "test_plain_psnr", "a filter") is None
    assert advice.no_better(history(test_psnr=[9, 9, 21], test_plain_psnr=[20] * 3), "test_plain_psnr", "a filter") is None
    assert advice.no_better(history(test_psnr=[9, 9, 9]), "test_plain_psnr", "a filter") is None


BAD = {"test_recall": 0.1, "test_psnr": 9.0, "test_plain_psnr": 20.0, "test_still_psnr": 20.0, "train_told_apart": 1.0}
BAD |= {"test_active": 0, "test_kl": 0.0, "test_diversity": 0.1, "step": 2000}


@pytest.mark.parametrize("name", TASKS)
def test_every_system_warns_and_names_options_that_it_has(name, capsys):
    task = TASKS[name](**({"purpose": "denoise"} if name == "autoencoder" else {}))
    task.classes = 10
    falling = [dict.fromkeys(("train_loss", "train_reconstruction"), 1 - 0.1 * k) for k in range(8)]
    rows = [{**BAD, **falling[k], "train_kl": 0.0, "epoch": k + 1, "test_loss": 1.0 + (k > 2)} for k in range(8)]
    overfitted = task.advice(rows, 8)
    diverged = task.advice([{**row, "train_loss": row["epoch"]} for row in rows], 8)
    with pytest.raises(SystemExit):
        main(["train", name, "--help"])
    known = set(re.findall(r"--[a-z0-9-]+", re.sub(r"-\n +", "-", capsys.readouterr().out)))
    named = set(re.findall(r"--[a-z0-9-]+", " ".join([*overfitted, *diverged])))
    assert named and named <= known
    kinds = {text.partition(":")[0] for text in [*overfitted, *diverged]}
    if name in ("gan", "dcgan", "wgan-gp"):
        assert {text.split(":")[0] for text in overfitted} == {"the discriminator wins outright", "mode collapse"}
    else:
        own = {"vae": "posterior collapse", "map-vae": "posterior collapse", "autoencoder": "no use yet"}
        own |= {"window-vae": "posterior collapse", "conv-lstm": "no use yet", "cnn": "guessing", "lstm": "guessing"}
        assert kinds == {"rising loss", "overfitting", *([own[name]] if name in own else [])}


def test_a_loss_may_rise_while_a_model_gets_more_of_its_own_pictures():
    rows = [{"epoch": k + 1, "step": 125 * (k + 1), "train_loss": 1 + 0.1 * k} for k in range(14)]
    task = TASKS["conv-lstm"]()
    assert task.advice(rows[:12], 20) == [], "three of them are after 1200 steps"
    later = [row | {"step": row["step"] + 1200} for row in rows]
    assert "rising loss" in task.advice(later, 20)[0] and "rising loss" in TASKS["conv-lstm"](feedback=False).advice(rows, 20)[0]


def test_a_collapsed_posterior_is_noticed():
    assert advice.collapse(3, 12.0) is None
    assert "0 latents are active and carry 0.01 nats" in advice.collapse(0, 0.01)
    assert "posterior collapse" in advice.collapse(1, 0.2)
