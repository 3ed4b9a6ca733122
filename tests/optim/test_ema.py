import numpy as np
import pytest

import nnscratch as nns
from nnscratch import nn, optim
from nnscratch.serialization import load, save


def weights(n=2):
    rng = np.random.default_rng(0)
    return [nns.tensor(rng.standard_normal(3), requires_grad=True) for _ in range(n)]


@pytest.mark.parametrize("warmup", [False, True])
def test_follows_its_recurrence(warmup):
    ps = weights()
    ema = optim.EMA(ps, decay=0.9, warmup=warmup)
    expected = [p.data.copy() for p in ps]
    for t in range(1, 30):
        decay = min(0.9, (1 + t) / (10 + t)) if warmup else 0.9
        for p, e in zip(ps, expected):
            p.data += t
            e *= decay
            e += (1 - decay) * p.data
        ema.update()
    for name, e in zip("01", expected):
        np.testing.assert_allclose(ema.averages[name], e, rtol=1e-12)


def test_swaps_in_and_out_also_after_an_exception():
    model = nn.Linear(2, 2)
    ema = optim.EMA(model, decay=0.5)
    own = model.weight.data
    before = own.copy()
    own += 1
    ema.update()
    with ema.applied():
        np.testing.assert_allclose(model.weight.data, before + 0.5, rtol=1e-6)
    with pytest.raises(ZeroDivisionError), ema.applied():
        _ = 1 / 0
    assert model.weight.data is own
    assert np.array_equal(own, before + 1)
    np.testing.assert_allclose(ema.averages["weight"], before + 0.5, rtol=1e-6)


def test_averages_a_part_of_a_model_with_its_statistics():
    """A dict of tensors keeps their names, parameters and buffers alike; what is not in it stays as it is."""
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    ema = optim.EMA({"0.bias": model[0].bias, "1.running_mean": model[1].running_mean}, decay=0.5)
    model(nns.tensor(np.arange(12, dtype=np.float32).reshape(4, 3)))
    mean, weight = model[1].running_mean.numpy().copy(), model[0].weight.data.copy()
    assert (mean != 0).all()
    ema.update()
    assert ema.state_dict()["averages"].keys() == {"0.bias", "1.running_mean"}
    with ema.applied():
        np.testing.assert_allclose(model[1].running_mean.numpy(), mean / 2, rtol=1e-6)
        np.testing.assert_array_equal(model[0].weight.data, weight)
    np.testing.assert_array_equal(model[1].running_mean.numpy(), mean)


def test_swapping_invalidates_saved_values():
    (p,) = weights(1)
    loss = (p * p).sum()
    with optim.EMA([p]).applied(), pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_state_round_trip(tmp_path):
    ps = weights()
    ema = optim.EMA(ps, 0.9, warmup=True)
    ps[0].data += 1
    ema.update()
    save(ema, tmp_path / "ema.safetensors")
    other = optim.EMA(weights(), 0.5)
    other.load_state_dict(load(tmp_path / "ema.safetensors"))
    ps[0].data -= 3
    for e, q in ((ema, ps), (other, None)):
        if q is None:
            for p, r in zip(ps, other.parameters.values()):
                r.data[...] = p.data
        e.update()
    assert other.updates == 2
    for name in ema.averages:
        assert ema.averages[name].tobytes() == other.averages[name].tobytes()


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\)"):
        optim.EMA(weights(), 1.0)
    with pytest.raises(ValueError, match="does not fit this model: 1"):
        optim.EMA(weights(2)).load_state_dict(optim.EMA(weights(1)).state_dict())
    with pytest.raises(TypeError, match="expected a Module or tensors, got int"):
        optim.EMA(3)
