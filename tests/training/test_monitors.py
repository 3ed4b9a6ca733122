"""What a reader is told when an adversarial training goes wrong: each fault made up, and silence where there is none."""

import numpy as np
import pytest

from nnscratch.training.monitors import adversarial_advice, numbers_of_scores, setup_advice

WELL = {"train_told_apart": 0.8, "test_classes_covered": 10, "test_diversity": 0.95}


def test_silence_when_all_is_well():
    assert adversarial_advice(WELL, 10, 10, 10) == []
    assert adversarial_advice({"train_discriminator_loss": 1.0}, 10, 10, 10) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"train_told_apart": 0.998}, "the discriminator wins outright: it is right about 99.8% of the images"),
        ({"test_classes_covered": 3}, "mode collapse: the samples show only 3 of the 10 classes"),
        ({"test_diversity": 0.05}, "mode collapse: the samples look almost all alike, they vary 0.05 times as much"),
    ],
)
def test_each_fault_is_named_with_a_remedy(fault, words):
    (text,) = adversarial_advice({**WELL, **fault}, 10, 10, 10)
    assert words in text and "Try --" in text


def test_the_beginning_is_given_time():
    collapsed = {**WELL, "test_classes_covered": 1, "test_diversity": 0.1}
    assert adversarial_advice(collapsed, 10, 2, 10) == []
    assert adversarial_advice(collapsed, 10, 3, 10) != []
    assert adversarial_advice({**collapsed, "step": 499}, 10, 3, 10) == []
    assert adversarial_advice({**WELL, "train_told_apart": 1.0}, 10, 1, 10) != [], "but a discriminator that wins is said at once"


def test_numbers_of_scores():
    real, fake = np.array([2.0, -1.0, 3.0, 0.5]), np.array([-2.0, -3.0, 1.0, -0.1])
    numbers = numbers_of_scores("non-saturating", real, fake)
    sigma = lambda s: 1 / (1 + np.exp(-s))  # noqa: E731
    assert numbers == {
        "D(x)": pytest.approx(sigma(real).mean()),
        "D(G(z))": pytest.approx(sigma(fake).mean()),
        "told_apart": 6 / 8,
    }
    assert numbers_of_scores("wasserstein", real, fake) == {"D(x)": real.mean(), "D(G(z))": fake.mean()}
    assert numbers_of_scores("hinge", real, fake)["told_apart"] == 6 / 8
    assert numbers_of_scores("least-squares", real, fake)["told_apart"] == (2 + 3) / 8


def test_a_choice_of_losses_that_cannot_work():
    assert setup_advice("non-saturating", 0, 0, False, ["3"]) == []
    assert setup_advice("wasserstein", 10, 0, False, []) == []
    (text,) = setup_advice("hinge", 10, 0, False, ["3", "6"])
    assert "batch norm (2 layers, the first: 3)" in text and "wgan-gp" in text
    (text,) = setup_advice("wasserstein", 0, 0, False, [])
    assert "no bound on the critic's slope" in text
