"""Policies over a vocabulary that can be enumerated, so that what is best at each KL is known."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax, xlogy


def toy(prompts: int = 24, words: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return reference probabilities and rewards of every response of a toy vocabulary, (prompts, words)."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(words), prompts), rng.normal(size=(prompts, words))


def draws(probabilities: np.ndarray, rewards: np.ndarray, count: int, seed: int = 1) -> np.ndarray:
    """Return the rewards of so many samples of the reference for each prompt."""
    rng = np.random.default_rng(seed)
    return np.stack([row[rng.choice(len(p), size=count, p=p)] for p, row in zip(probabilities, rewards, strict=True)])


def optimum(probabilities: np.ndarray, rewards: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return KL in nats and reward of the best policy at beta for each prompt, by enumeration."""
    policy = softmax(np.log(probabilities) + rewards / beta, axis=1)
    kl = (xlogy(policy, policy) - xlogy(policy, probabilities)).sum(1)
    return kl, (policy * rewards).sum(1)


def optimum_at(probabilities: np.ndarray, rewards: np.ndarray, kl_nats: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the same of the best policy whose mean KL is this one."""
    beta = brentq(lambda beta: optimum(probabilities, rewards, beta)[0].mean() - kl_nats, 1e-4, 1e3)
    return optimum(probabilities, rewards, beta)
