# %% [markdown]
# # Language models that keep the distribution
#
# Reinforcement learning drives a language model to a few good answers. A GFlowNet tunes it to draw *all* answers, each
# as often as the reward says. Here both are tried on a model small enough to list every answer, so that the truth is
# known. All weights of the small model are tuned; a large one gets adapters. Runs in about a minute on one core.

# %%
import matplotlib.pyplot as plt
import torch

from al_loop.environments.tokens import Tokens
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.language import Checked, TunedModel, TuneOptions, tune
from al_loop.language.tuned import divergence
from al_loop.language_models.loading import register
from al_loop.language_models.small import SmallTransformer, fit
from al_loop.language_models.tokenizers import ListedTokens

_ = torch.manual_seed(0)

# %% [markdown]
# ## A language model of sums
#
# The model has read sums such as `3+4=7`, without knowing what a sum is.

# %%
digits = ListedTokens(["<s>", "</s>", "+", "=", *"0123456789"], start="<s>", end="</s>")
model = SmallTransformer(digits, width=32, layers=2, places=16)
sums = [f"{a}+{b}={a + b}" for a in range(10) for b in range(10)]
loss = fit(model, sums, steps=200, batch_size=64)
name = register(model, "sums")
print(f"{loss:.2f} nats per token")

# %% [markdown]
# ## The question
#
# Which two numbers add up to nine? The prompt is `9`, and every answer `a+b` with the right sum is equally good. There
# are ten of them among the 1,000 or so texts of up to three tokens.


# %%
def right(text):
    """Return the log-reward of an answer; None: it is not a sum."""
    a, plus, b = text.partition("+")
    if not (plus and a.isdigit() and b.isdigit()):
        return None
    return 0.0 if int(a) + int(b) == 9 else -6.0


answers = [f"{a}+{9 - a}" for a in range(10)]
space = {"min_tokens": 3, "max_tokens": 3, "forbidden": ["="]}

# %% [markdown]
# ## GFlowNet tuning
#
# The buffer starts with two known answers. The report has the exact divergence from the posterior.

# %%
curve = []
options = TuneOptions(
    seeds=[("9", "4+5"), ("9", "1+8")],
    on_report=lambda report, tuned: curve.append((report.step, tuned.posterior("9").kl)),
)
tuned = tune(
    name, ["9"], Checked(right, invalid=-9.0), steps=400, lora=None, lr=3e-3, sampling_temperature=1.5, batch_size=32,
    buffer_distance=0.0, report_every=40, options=options, **space,
)  # fmt: skip
posterior = tuned.posterior("9")
print(f"KL(sampler || posterior) = {posterior.kl:.3f} nats")

# %% [markdown]
# ## REINFORCE, on the same reward
#
# The same weights to train, the same number of texts, and a mean baseline.

# %%
environment = Tokens(name, ["9"], **space)
reward = Checked(right, invalid=-9.0)
reward.bind(environment)
torch.manual_seed(0)
policy = LanguagePolicy(environment, lora=None)
optimizer = torch.optim.Adam([p for p in policy.parameters() if p.requires_grad], lr=3e-3)
generator = torch.Generator().manual_seed(0)
for _ in range(400):
    drawn = rollout(environment, policy, 32, generator=generator, start=environment.initial(32))
    value = reward(drawn.terminal)
    log_p = log_probabilities(environment, policy, drawn)[0].sum(0)
    loss = -((value - value.mean()) / (value.std() + 1e-6) * log_p).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
collapsed = TunedModel(environment, policy, reward).posterior("9")
print(f"KL(sampler || posterior) = {collapsed.kl:.3f} nats")

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
for axis, (title, distribution) in zip(axes, {"GFlowNet": posterior, "REINFORCE": collapsed}.items(), strict=False):
    of_text = dict(zip(distribution.texts, distribution.sampler.tolist(), strict=True))
    axis.bar(answers, [of_text[answer] for answer in answers], color="#1f6f8b")
    axis.axhline(float(posterior.exact.max()), color="#d1603d", linewidth=1)
    axis.set_title(f"{title}: KL {distribution.kl:.2f}")
    axis.tick_params(axis="x", rotation=90)
axes[2].plot(*zip(*curve, strict=True))
axes[2].set_yscale("log")
axes[2].set_title("KL while the GFlowNet is tuned")
_ = axes[2].set_xlabel("step")

# %% [markdown]
# The line is the truth. REINFORCE keeps few of the answers, and nothing in its reward says that others are missing.

# %%
worst = divergence(posterior.exact, collapsed.sampler.clamp(min=1e-12))
print(f"KL(posterior || sampler): GFlowNet {posterior.reverse_kl:.3f}, REINFORCE {worst:.1f} nats")
