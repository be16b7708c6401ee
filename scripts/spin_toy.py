"""Show what the beta of SPIN does where an iteration is trained out: exact expectations over 20 outcomes.

    python scripts/spin_toy.py      # writes docs/images/spin.png and prints its numbers

A model that can be any distribution is trained by the loss of SPIN, summed over all pairs of a real and a generated
outcome, until the loss falls no further. The closed form p' ~ p (p_data / p)^(1 / beta) says where that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from penchant.losses.preference import dpo

OUTCOMES, ITERATIONS = 20, 5
BETAS = (2.0, 1.0, 0.5, 0.1)
SMALLEST = 1e-4
"""The KL at which the picture ends below; that of an iteration that lands is 0."""
IMAGE = Path(__file__).resolve().parent.parent / "docs" / "images" / "spin.png"


def distributions(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return the logps of the data and of the start, shape (outcomes,) each, in float64."""
    generator = torch.Generator().manual_seed(seed)
    real, start = torch.randn(2, OUTCOMES, generator=generator, dtype=torch.float64)
    return real.log_softmax(0), start.log_softmax(0)


def expected_loss(policy: Tensor, generator: Tensor, real: Tensor, beta: float) -> Tensor:
    """Return the expectation of SPIN's loss over all pairs of a real and a generated outcome.

    Args:
        policy, generator, real: logps of the model that learns, the one that generated, and the data; (outcomes,).
    """
    chosen, rejected = (index.flatten() for index in torch.meshgrid(*2 * [torch.arange(len(real))], indexing="ij"))
    # the package's own loss: what `penchant train spin` minimises on pairs that were drawn
    losses = dpo(policy[chosen], policy[rejected], generator[chosen], generator[rejected], beta=beta)
    return ((real[chosen] + generator[rejected]).exp() * losses).sum()


def train_out(generator: Tensor, real: Tensor, beta: float) -> Tensor:
    """Return the logps of the model with the lowest expected loss, which begins as the one that generated."""
    logits = generator.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=2000, tolerance_grad=1e-13, tolerance_change=1e-16,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = expected_loss(logits.log_softmax(0), generator, real, beta)
        loss.backward()
        return loss

    optimizer.step(closure)
    return logits.detach().log_softmax(0)


def train_some(generator: Tensor, real: Tensor, beta: float, *, steps: int, rate: float) -> Tensor:
    """Return the logps of the model after some steps of plain gradient descent, as a short training takes them."""
    logits = generator.clone().requires_grad_()
    for _ in range(steps):
        (slope,) = torch.autograd.grad(expected_loss(logits.log_softmax(0), generator, real, beta), logits)
        logits = (logits - rate * slope).detach().requires_grad_()
    return logits.detach().log_softmax(0)


def closed_form(generator: Tensor, real: Tensor, beta: float) -> Tensor:
    """Return the logps of p' ~ p (p_data / p)^(1 / beta): the log-error is multiplied by 1 - 1 / beta."""
    return (generator + (real - generator) / beta).log_softmax(0)


def kl_from_data(policy: Tensor, real: Tensor) -> float:
    """Return KL(data || policy) in nats."""
    return float((real.exp() * (real - policy)).sum())


def trained_out(beta: float, iterations: int = ITERATIONS) -> list[float]:
    """Return the KL of the start and of each iteration's model, where each is trained to its optimum."""
    real, policy = distributions()
    kls = [kl_from_data(policy, real)]
    for _ in range(iterations):
        policy = closed_form(policy, real, beta)
        kls.append(kl_from_data(policy, real))
    return kls


def in_small_steps(beta: float, iterations: int = ITERATIONS, *, steps: int = 40, rate: float = 1.0) -> list[float]:
    """Return the KL of the start and of each iteration's model, where each takes a few small steps."""
    real, policy = distributions()
    kls = [kl_from_data(policy, real)]
    for _ in range(iterations):
        policy = train_some(policy, real, beta, steps=steps, rate=rate)
        kls.append(kl_from_data(policy, real))
    return kls


def draw(lines: dict[str, Sequence[float]], image: Path) -> None:
    """Draw a line per name over the iterations, on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from penchant.reports.kit.canvas import blank, run_style, style

    with style():
        figure, axes = blank(7.2, 3.8)
        for index, (name, kls) in enumerate(lines.items()):
            color, dash, marker = run_style(index)
            axes.plot(range(len(kls)), [max(kl, SMALLEST) for kl in kls], color=color, linestyle=dash, marker=marker,
                      markersize=5, label=name)  # fmt: skip
        axes.set_yscale("log")
        # plain numbers: the pages' style leaves formulas in labels as they are
        axes.yaxis.set_major_formatter(FuncFormatter(lambda kl, _: f"{kl:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("iteration")
        axes.set_ylabel("KL from the data, nats")
        axes.set_xticks(range(ITERATIONS + 1))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        # without a date, so that equal numbers give equal bytes
        figure.savefig(image, dpi=150, facecolor="white", metadata={"Software": None})


def main() -> None:
    """Compute all lines, print them, and draw the picture."""
    lines: dict[str, Sequence[float]] = {f"beta {beta:g}, trained out": trained_out(beta) for beta in BETAS}
    lines["beta 0.1, 40 small steps"] = in_small_steps(0.1)
    for name, kls in lines.items():
        print(f"{name}: " + ", ".join(f"{kl:.3g}" for kl in kls))
    draw(lines, IMAGE)


if __name__ == "__main__":
    main()
