"""The first op that makes a NaN or Inf, and the line that called it."""

import numpy as np
import pytest

import nnscratch as nns


def test_forward_fault_is_named_with_its_line():
    x = nns.tensor([0.0, 1.0], requires_grad=True)
    with pytest.raises(nns.AnomalyError, match=r"log produced inf(.|\n)*test_anomaly.py:\d+: .*nns.log\(x \* 1.0\)"):
        with nns.anomaly_mode():
            y = nns.log(x * 1.0)
            (y * 0.0).sum()


def test_it_is_found_without_a_graph_too():
    with pytest.raises(nns.AnomalyError, match="div produced nan"):
        with nns.anomaly_mode():
            nns.tensor([0.0]) / nns.tensor([0.0])


def test_given_infinities_are_not_blamed():
    with nns.anomaly_mode():
        (nns.tensor([np.inf]) * 2.0).tanh()


def test_backward_fault_names_the_forward_line():
    x = nns.tensor([0.0, 1.0], requires_grad=True)
    with pytest.raises(nns.AnomalyError, match=r"gradient of (sqrt|pow) for argument 0 has inf(.|\n)*nns.sqrt\(x\)"):
        with nns.anomaly_mode():
            y = nns.sqrt(x)
            y.sum().backward()


def test_nothing_is_left_behind():
    with nns.anomaly_mode():
        pass
    nns.log(nns.tensor([0.0]))


def test_given_infinities_of_a_leaf_are_not_blamed():
    x = nns.tensor([np.inf], requires_grad=True)  # recorded ops keep only what their VJPs read
    with nns.anomaly_mode():
        (x * 2.0 + 1.0).tanh()
