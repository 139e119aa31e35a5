import pytest
import torch

from al_loop.gflownet.large_vocabulary import chosen_log_probs


@pytest.mark.parametrize("at_once", [1, 70, 10_000], ids=["row by row", "chunks", "at once"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_chunks_agree_with_all_logits_in_values_and_gradients(at_once, dtype):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(23, 5, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(31, 5, generator=generator, requires_grad=True)
    states = torch.randint(2, (23, 1), generator=generator)
    actions = torch.randint(30, (23,), generator=generator)

    def mask(states):
        allowed = torch.ones(len(states), 31, dtype=torch.bool)
        allowed[:, -1:] = states > 0
        return allowed

    log_pf, log_stop = chosen_log_probs(hidden, lambda h: h @ weight.T, mask, states, actions, 31, at_once)
    expected = (hidden.float() @ weight.T).masked_fill(~mask(states), -torch.inf).log_softmax(-1)
    assert log_pf.dtype == torch.float32
    assert torch.allclose(log_pf, expected.gather(1, actions[:, None])[:, 0], atol=1e-6)
    assert torch.allclose(log_stop, expected[:, -1], atol=1e-6)
    got = torch.autograd.grad(log_pf.sum() + log_stop[log_stop > -torch.inf].sum(), [hidden, weight])
    total = expected.gather(1, actions[:, None]).sum() + expected[:, -1][expected[:, -1] > -torch.inf].sum()
    for a, b in zip(got, torch.autograd.grad(total, [hidden, weight]), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-5 if dtype == torch.float32 else 0.1)


def test_no_more_logits_are_computed_at_a_time_than_asked_for():
    rows = []

    def head(hidden):
        rows.append(len(hidden))
        return hidden

    states = torch.zeros(10, 1, dtype=torch.int64)
    chosen_log_probs(
        torch.zeros(10, 4), head, lambda s: torch.ones(len(s), 4, dtype=torch.bool), states, states[:, 0], 4, 12
    )
    assert rows == [3, 3, 3, 1]
