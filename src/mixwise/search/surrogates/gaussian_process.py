"""Gaussian process from mixture to metric that reads values and slopes alike.

Notation:
    z: shares in an orthonormal basis of the simplex, shape ``(n_domains − 1,)``, origin o.
    u = zᵀz′.  r = ‖z − z′‖.  y: value.  ∇y: slopes in z.  c: asymptote of a warped metric.
    a: amplitudes of the kernel's parts, in units of the metric's variance σ².  η: noise.

Method:
    k(z, z′) = σ² (a₀ + a₁u + a₂u²/2 + a₃ exp(−r²/2ℓ²)): a plane, a quadratic with a free Hessian,
    and a local remainder, which is what makes near points count for more. Slopes are rows like any
    other: their covariances are derivatives of k. Solved in the dual, so that one point with slopes
    is enough to go on, and N determine what a quadratic needs N(N + 1)/2 values for.
    A metric that has a floor is also tried as log(y − c), which a log-linear mixing law makes a
    plane, and one that only follows another metric as a line in that metric's prediction.
    Among amplitudes, ℓ, η and c, those of the largest posterior probability win; σ² is profiled.
    The prior prefers curvature and no local remainder, which matters while there are few rows.

Source:
    Rasmussen and Williams 2006 (§2.7, §5.4.1, §9.4); Snelson, Rasmussen and Ghahramani 2003 for
    the warp; Ye et al. 2024 (arXiv 2403.16952) for the log-linear law of mixtures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from mixwise.arrays import Array

_PLANE = (10.0, 1.0)  # a₀, a₁
_CURVATURES = (0.01, 0.1, 1.0)  # a₂
_REMAINDERS = ((1e-4, 0.8), (1e-2, 0.8), (1e-2, 0.3))  # a₃, ℓ
_NOISES = (1e-8, 1e-5, 1e-3)  # η of values and slopes
_JUMPS = (1e-4, 1e-2, 1e-1, 1.0)  # η of metrics without slopes
_PLAIN = 0.5  # the same per unit of ln a₃, downwards: no local effect without a sign of it
_DOUBT = 1.5  # log-prior per unit of ln a₂: what few rows cannot tell is taken for bent
_TOO_NOISY = 10.0  # log-prior per unit of ln of noise above the most that there can be
NO_LIMIT = 1e300  # of noise, in any unit squared
_JITTER = 1e-9  # on the diagonal, for the factorisation
_ASYMPTOTES = (0.1, 0.3, 1.0, 3.0)  # (min y − c) / (max y − min y)


@dataclass(frozen=True, slots=True)
class Kernel:
    """Amplitudes a₂ and a₃, length ℓ and noise η, relative to σ²."""

    curvature: float
    remainder: float
    length: float
    noise: float


def _kernels(noises: Sequence[float]) -> tuple[Kernel, ...]:
    rows = product(_CURVATURES, _REMAINDERS, noises)
    return tuple(Kernel(bend, near, length, noise) for bend, (near, length), noise in rows)


KERNELS = _kernels(_NOISES)
JUMPING_KERNELS = _kernels(_JUMPS)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What was measured of one metric.

    Args:
        shares: λ, shape ``(n, n_domains)``.
        values: y, shape ``(n,)``.
        sloped: Indices of the points that have slopes, shape ``(n_sloped,)``.
        slopes: dy/dλ there, shape ``(n_sloped, n_domains)``.
        most_noise: Largest variance that the values' noise can have, in the metric's unit squared.
    """

    shares: Array
    values: Array
    sloped: npt.NDArray[np.int64]
    slopes: Array
    most_noise: float = NO_LIMIT


def tangent_basis(n_domains: int) -> Array:
    """Orthonormal directions along the simplex, shape ``(n_domains, n_domains − 1)``."""
    full = np.eye(n_domains) - 1 / n_domains
    return np.asarray(np.linalg.qr(full[:, :-1])[0])


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """A fitted metric.

    Args:
        kernel: The row of `KERNELS` that won.
        asymptote: c of the warp, or None for the metric as it is.
        basis: Directions along the simplex, shape ``(n_domains, n_domains − 1)``.
        origin: o, shape ``(n_domains,)``.
        points: z of the data, shape ``(n, n_domains − 1)``.
        sloped: Indices of points with slopes.
        dual: K⁻¹ (y − mean), rows of values then of slopes.
        factor: Cholesky factor of K.
        mean: Subtracted from the (warped) values.
        variance: σ², in the (warped) metric's unit squared.
        log_probability: What the row was chosen by.
    """

    kernel: Kernel
    asymptote: float | None
    basis: Array
    origin: Array
    points: Array
    sloped: npt.NDArray[np.int64]
    dual: Array
    factor: Array
    mean: float
    variance: float
    log_probability: float

    def predict(self, shares: Array) -> tuple[Array, Array]:
        """Posterior mean, ``(n,)``, and its slopes in the shares, ``(n, n_domains)``."""
        values, slopes = self._predict_warped((shares - self.origin) @ self.basis)
        if self.asymptote is not None:
            above = np.exp(np.clip(values, -50, 50))
            values, slopes = self.asymptote + above, above[:, None] * slopes
        return values, slopes @ self.basis.T

    def deviation(self, shares: Array) -> Array:
        """Posterior standard deviation, shape ``(n,)``, in the metric's unit."""
        z = (shares - self.origin) @ self.basis
        cross = _covariance(self.kernel, z, self.points, np.arange(0), self.sloped)
        prior = _values_block(self.kernel, (z * z).sum(axis=1), np.zeros(len(z)))
        explained = (cross * _solve(self.factor, cross.T).T).sum(axis=1)
        spread = np.sqrt(self.variance * np.maximum(prior - explained, 0))
        if self.asymptote is None:
            return np.asarray(spread)
        return np.asarray(spread * (self.predict(shares)[0] - self.asymptote))

    def left_out(self, values: Array) -> Array:
        """Each value predicted from all rows but its own and its slopes, shape ``(n,)``.

        Kernel, warp and mean stay as they were fitted to all.

        Args:
            values: y that the metric was fitted to, shape ``(n,)``.

        Source:
            Rasmussen and Williams 2006, §5.4.2, a point's value and slopes left out together.
        """
        n, d = self.points.shape
        inverse = _solve(self.factor, np.eye(len(self.dual)))
        place = {int(point): n + k * d for k, point in enumerate(self.sloped)}
        known = values if self.asymptote is None else np.log(values - self.asymptote)
        predicted = np.empty(n)
        for i in range(n):
            rows = [i, *range(place[i], place[i] + d)] if i in place else [i]
            missed = np.linalg.solve(inverse[np.ix_(rows, rows)], self.dual[rows])
            predicted[i] = known[i] - missed[0]
        if self.asymptote is None:
            return predicted
        return np.asarray(self.asymptote + np.exp(np.clip(predicted, -50, 50)))

    def _predict_warped(self, z: Array) -> tuple[Array, Array]:
        k, n = self.kernel, len(self.points)
        alpha, beta = self.dual[:n], np.zeros_like(self.points)
        beta[self.sloped] = self.dual[n:].reshape(len(self.sloped), self.points.shape[1])
        u = z @ self.points.T
        gap = (z * z).sum(axis=1)[:, None] + (self.points**2).sum(axis=1) - 2 * u
        near = k.remainder * np.exp(-gap / (2 * k.length**2))
        along = z @ beta.T
        apart = (along - (self.points * beta).sum(axis=1)) / k.length**2
        rise = _PLANE[1] + k.curvature * u
        local = near * (alpha + apart)
        values = (_PLANE[0] + _PLANE[1] * u + k.curvature * u**2 / 2) @ alpha
        values = values + (rise * along).sum(axis=1) + local.sum(axis=1)
        slopes = (rise * alpha + k.curvature * along) @ self.points + rise @ beta
        slopes = slopes + (near @ beta - local.sum(axis=1)[:, None] * z + local @ self.points) / (
            k.length**2
        )
        return self.mean + values, slopes


def fit(evidence: Evidence, *, has_floor: bool, kernels: Sequence[Kernel] = KERNELS) -> Posterior:
    """Fit one metric.

    Args:
        evidence: Values and slopes.
        has_floor: Whether log(y − c) is tried too.
        kernels: Rows to choose from.

    Returns:
        The posterior under the row of the largest posterior probability.
    """
    return fit_all([evidence], has_floor=has_floor, kernels=kernels)[0]


def fit_all(
    metrics: Sequence[Evidence], *, has_floor: bool, kernels: Sequence[Kernel] = KERNELS
) -> tuple[Posterior, ...]:
    """Fit metrics that were measured at the same points; each matrix is factorised once.

    Args:
        metrics: Values and slopes, at least one; all at the same points.
        has_floor: Whether log(y − c) is tried too.
        kernels: Rows to choose from.
    """
    frame = _Frame.of(metrics[0])
    targets = [_targets(evidence, frame.basis, has_floor=has_floor) for evidence in metrics]
    found: list[list[Posterior]] = [[] for _ in metrics]
    for kernel in kernels:
        factor = frame.factor(kernel)
        for evidence, rows, best in zip(metrics, targets, found, strict=True):
            fitted = [_posterior(frame, kernel, factor, target, evidence) for target in rows]
            best[:] = [max([*best, *fitted], key=lambda posterior: posterior.log_probability)]
    return tuple(best[0] for best in found)


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """Where metrics were measured, in directions along the simplex."""

    basis: Array
    origin: Array
    points: Array
    sloped: npt.NDArray[np.int64]

    @classmethod
    def of(cls, evidence: Evidence) -> _Frame:
        n_domains = evidence.shares.shape[1]
        basis, origin = tangent_basis(n_domains), np.full(n_domains, 1 / n_domains)
        return cls(basis, origin, (evidence.shares - origin) @ basis, evidence.sloped)

    def factor(self, kernel: Kernel) -> Array:
        """Cholesky factor of the covariance of all rows."""
        from scipy.linalg import cholesky  # half a second to import, and `status` does without

        covariance = _covariance(kernel, self.points, self.points, self.sloped, self.sloped)
        covariance[np.diag_indices_from(covariance)] += kernel.noise + _JITTER
        return np.asarray(cholesky(covariance, lower=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """One way to look at a metric: as it is, or as log(y − c)."""

    asymptote: float | None
    mean: float
    rows: Array
    log_jacobian: float


def _targets(evidence: Evidence, basis: Array, *, has_floor: bool) -> list[_Target]:
    slopes = evidence.slopes @ basis
    mean = float(evidence.values.mean())
    plain = np.concatenate([evidence.values - mean, slopes.ravel()])
    targets = [_Target(None, mean, plain, 0.0)]
    values = evidence.values
    reach = float(values.max() - values.min()) or float(np.abs(slopes).max(initial=0.0))
    if not has_floor or values.min() - min(_ASYMPTOTES) * reach >= values.min():
        return targets  # values are the same, or but for rounding
    for gap in _ASYMPTOTES:
        above = values - (values.min() - gap * reach)
        logs = np.log(above)
        bent = slopes / above[evidence.sloped, None]
        jacobian = -logs.sum() - basis.shape[1] * logs[evidence.sloped].sum()
        rows = np.concatenate([logs - logs.mean(), bent.ravel()])
        targets.append(
            _Target(values.min() - gap * reach, float(logs.mean()), rows, float(jacobian))
        )
    return targets


def _solve(factor: Array, rows: Array) -> Array:
    """The covariance whose lower Cholesky factor is given, inverted times some rows."""
    from scipy.linalg import cho_solve  # half a second to import, and `status` does without

    return np.asarray(cho_solve((factor, True), rows))


def _posterior(
    frame: _Frame, kernel: Kernel, factor: Array, target: _Target, evidence: Evidence
) -> Posterior:
    dual = _solve(factor, target.rows)
    n = len(target.rows)
    variance = max(float(target.rows @ dual) / n, 1e-30)
    log_likelihood = -0.5 * n * np.log(variance) - np.log(np.diag(factor)).sum()
    excess = kernel.noise * variance / evidence.most_noise
    log_prior = _DOUBT * np.log(kernel.curvature) - _PLAIN * np.log(kernel.remainder)
    log_prior -= _TOO_NOISY * np.log(max(1.0, excess))
    return Posterior(
        kernel,
        target.asymptote,
        frame.basis,
        frame.origin,
        frame.points,
        frame.sloped,
        dual,
        factor,
        target.mean,
        variance,
        float(log_likelihood + target.log_jacobian + log_prior),
    )


def _values_block(kernel: Kernel, u: Array, gap: Array) -> Array:
    near = kernel.remainder * np.exp(-gap / (2 * kernel.length**2))
    return np.asarray(_PLANE[0] + _PLANE[1] * u + kernel.curvature * u**2 / 2 + near)


def _covariance(
    kernel: Kernel,
    left: Array,
    right: Array,
    left_sloped: npt.NDArray[np.int64],
    right_sloped: npt.NDArray[np.int64],
) -> Array:
    """Covariance of all rows of two sets of points: values, then slopes of the sloped ones."""
    u = left @ right.T
    difference = left[:, None] - right[None]
    gap = (difference**2).sum(axis=2)
    near = kernel.remainder * np.exp(-gap / (2 * kernel.length**2)) / kernel.length**2
    rise = _PLANE[1] + kernel.curvature * u
    # ∂k/∂z′ = k′(u) z + near (z − z′), and with the other sign in z
    by_right = rise[:, :, None] * left[:, None] + near[:, :, None] * difference
    by_left = rise[:, :, None] * right[None] - near[:, :, None] * difference
    by_right, by_left = by_right[:, right_sloped], by_left[left_sloped]
    grid = np.ix_(left_sloped, right_sloped)
    gaps = difference[grid]
    both = kernel.curvature * np.einsum("ja,ib->iajb", right[right_sloped], left[left_sloped])
    both -= np.einsum("ij,ija,ijb->iajb", near[grid] / kernel.length**2, gaps, gaps)
    both += np.einsum("ij,ab->iajb", rise[grid] + near[grid], np.eye(left.shape[1]))
    n_left, n_right, d = len(left_sloped), len(right_sloped), left.shape[1]
    top = np.concatenate(
        [_values_block(kernel, u, gap), by_right.reshape(len(left), n_right * d)], axis=1
    )
    bottom = np.concatenate(
        [
            by_left.transpose(0, 2, 1).reshape(n_left * d, len(right)),
            both.reshape(n_left * d, n_right * d),
        ],
        axis=1,
    )
    return np.asarray(np.concatenate([top, bottom]))
