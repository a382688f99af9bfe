"""How domains interfere at the base, and the error of the linear merge that follows.

Notation:
    θ₀: base.  g_k, H_k: gradient and Hessian of domain k's loss at θ₀.  δ_k: task vector.
    λ: shares, ``(n_domains,)``.  m: any metric.  C^k_ij = δᵢᵀH_kδⱼ, in the metric's unit.
    P: what the optimiser multiplies gradients with, the same for every mixture; 1 under SGD.

Method:
    With step size × steps = ηT, to second order in it,

        trained on λ :  −ηT PΣλ_k g_k + ½(ηT)² P Σ_kj λ_kλ_j H_kP g_j
        linear merge :  −ηT PΣλ_k g_k + ½(ηT)² P Σ_k  λ_k    H_kP g_k

    and to first order δ_k = −ηT P g_k, so that ηT, P and every gradient drop out of

        linear − trained in domain m's loss  =  ½ (Σ_k λ_k C^k_mk − Σ_kj λ_kλ_j C^k_mj),

    which is ⅛ δ_mᵀ(H_k − H_j)(δ_k − δ_j) for an equal pair: zero for a single domain, for domains
    of one curvature, and for experts that are alike. N Hessian–vector products per domain give all
    of C, and with it every mixture. A metric of no domain has no δ_m; it takes the combination a of
    domains whose first-order effects Σ_k a_k⟨g_k, δᵢ⟩ come nearest to its own.

    Merging also averages the noise of training away, of which a trained model keeps all. With noise
    of covariance Σ in every run, in each expert independent, the merge has Σλ²·Σ of it:

        linear − trained by noise  =  −ν_m (1 − Σλ²),   ν_m = ½ tr(H_mΣ),

    and k runs on one mixture that differ in their seed alone show ν_m: the mean of their losses
    less the loss of their mean is (1 − 1/k) ν_m.

    Relative effective curvature γ_kj = (‖H_kδⱼ‖ / ‖δⱼ‖) / (‖H_kδ_k‖ / ‖δ_k‖). Of the error,
    self-domain scaling is the part with C^k_mk, cross-domain interference the rest.

Source:
    Wang et al. 2026 (arXiv 2601.17858), mixed and merged update to second order, self-domain
    scaling, γ. Pearlmutter 1994 for the products.

Departures:
    Task vectors stand for gradients in γ. The formula holds under SGD, with or without momentum,
    and under any P that mixtures share. AdamW is outside: its P depends on the mixture through the
    second moments, which is an effect of first order. Steps are taken to be many and small:
    T steps make the second order smaller by 1 − 1/T. δ is the whole update, with the higher orders
    that the formula leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixwise.arrays import Array

_SMALL_DIRECTIONS = 1e-3  # singular values below this share of the largest tell nothing of a metric


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """First and second derivatives at the base along the task vectors.

    Args:
        domains: Names of the experts.
        metrics: Names of the metrics, those of the domains' own held-out texts among them.
        slopes: ⟨g_m, δᵢ⟩, shape ``(n_metrics, n_domains)``, in the metrics' units.
        curvatures: δᵢᵀH_mδⱼ, shape ``(n_metrics, n_domains, n_domains)``, the same.
        curvature_norms: ‖H_mδⱼ‖ / ‖δⱼ‖, shape ``(n_metrics, n_domains)``.
        n_tokens: Tokens that were differentiated.
    """

    domains: tuple[str, ...]
    metrics: tuple[str, ...]
    slopes: Array
    curvatures: Array
    curvature_norms: Array
    n_tokens: int

    @property
    def own(self) -> Array:
        """Row of each domain's own metric, shape ``(n_domains,)``."""
        sets = [name.rpartition("/")[0] for name in self.metrics]
        return np.array([sets.index(domain) for domain in self.domains])

    @property
    def own_curvatures(self) -> Array:
        """C^k_ij, shape ``(n_domains, n_domains, n_domains)``."""
        return np.asarray(self.curvatures[self.own])

    @property
    def relative_effective_curvature(self) -> Array:
        """γ_kj, shape ``(n_domains, n_domains)``, 1 on the diagonal; below 1 the own bends more."""
        curvature_norms = self.curvature_norms[self.own]
        return np.asarray(curvature_norms / np.diag(curvature_norms)[:, None])

    @property
    def domain_parts(self) -> Array:
        """a, shape ``(n_metrics, n_domains)``: each metric as a combination of the domains' own."""
        own = self.slopes[self.own]
        parts = np.linalg.lstsq(own.T, self.slopes.T, rcond=_SMALL_DIRECTIONS)[0].T
        parts[self.own] = np.eye(len(self.domains))
        return np.asarray(parts)


@dataclass(frozen=True, slots=True, eq=False)
class PredictedError:
    """Linear merge minus trained, by the theory, in the metrics' units.

    Args:
        self_scaling: Part with each domain's curvature on its own task vector,
            shape ``(n_mixtures, n_metrics)``.
        cross_domain: Part with a domain's curvature on another's task vector, the same shape.
        averaged_noise: Part of the noise that merging averages away, the same shape; 0 where the
            noise is not known.
    """

    self_scaling: Array
    cross_domain: Array
    averaged_noise: Array

    @property
    def total(self) -> Array:
        """All parts, shape ``(n_mixtures, n_metrics)``."""
        return np.asarray(self.self_scaling + self.cross_domain + self.averaged_noise)


def predict_error(
    interactions: Interactions, shares: Array, noise: Array | None = None
) -> PredictedError:
    """Predict the error of the linear merge of any mixtures.

    Args:
        interactions: Derivatives at the base.
        shares: λ of each mixture, shape ``(n_mixtures, n_domains)``.
        noise: ν of each metric, shape ``(n_metrics,)``, where it is known.

    Returns:
        The error of every metric, by its causes.

    Example:
        >>> one = Interactions(("a",), ("a/loss",), np.ones((1, 1)), np.ones((1, 1, 1)),
        ...     np.ones((1, 1)), 8)
        >>> predict_error(one, np.array([[1.0]])).total.tolist()
        [[0.0]]
    """
    c = interactions.own_curvatures
    own = np.einsum("kmk->mk", c)
    crossed = np.einsum("zk,zj,kmj->zm", shares, shares, c)
    squared = np.einsum("zk,mk->zm", shares**2, own)
    parts = interactions.domain_parts.T
    self_scaling = (shares @ own.T - squared) / 2
    averaged = 1 - (shares**2).sum(axis=1)
    known = np.zeros(len(parts.T)) if noise is None else noise
    return PredictedError(
        self_scaling @ parts, (squared - crossed) / 2 @ parts, -np.outer(averaged, known)
    )


def noise_of_runs(losses: Array, loss_of_mean: Array) -> Array:
    """ν from runs on one mixture that differ in their seed alone.

    Args:
        losses: Metrics of each run, shape ``(n_runs, n_metrics)``; at least two runs.
        loss_of_mean: Metrics of the mean of their weights, shape ``(n_metrics,)``.

    Returns:
        ν_m = ½ tr(H_mΣ), shape ``(n_metrics,)``, in the metrics' units.

    Example:
        >>> noise_of_runs(np.array([[1.0], [1.2]]), np.array([1.0])).round(3).tolist()
        [0.2]
    """
    n = len(losses)
    return np.asarray((losses.mean(axis=0) - loss_of_mean) * n / (n - 1))


def predict_pair_errors(interactions: Interactions, noise: Array | None = None) -> Array:
    """Predict the error of the linear merge of every equal pair.

    Args:
        interactions: Derivatives at the base.
        noise: ν of each metric, shape ``(n_metrics,)``, where it is known.

    Returns:
        Linear merge minus trained, shape ``(n_domains, n_domains, n_metrics)``, in the metrics'
        units; symmetric in the pair, 0 for a domain with itself.
    """
    n = len(interactions.domains)
    firsts, seconds = np.divmod(np.arange(n * n), n)
    shares = (np.eye(n)[firsts] + np.eye(n)[seconds]) / 2
    return predict_error(interactions, shares, noise).total.reshape(n, n, -1)


def predict_linear(interactions: Interactions, shares: Array) -> Array:
    """What the linear merge changes against the base, to second order.

    Args:
        interactions: Derivatives at the base.
        shares: λ of each mixture, shape ``(n_mixtures, n_domains)``.

    Returns:
        ⟨g_m, Σλᵢδᵢ⟩ + ½ Σλᵢλⱼ δᵢᵀH_mδⱼ, shape ``(n_mixtures, n_metrics)``, in the metrics' units.
    """
    bent = np.einsum("zi,zj,mij->zm", shares, shares, interactions.curvatures)
    return np.asarray(shares @ interactions.slopes.T + bent / 2)
