"""On-line portfolios: weights `[t, n]` of price relatives `[t, n]`, row t from the rows before it.

All start from equal weights. `best_constant` alone looks at everything: a reference in hindsight,
which nobody could have held. Survey: B. Li, S. C. H. Hoi, Online Portfolio Selection: A Survey, ACM
Computing Surveys 46(3), 2014.
"""

import numpy as np

from domain.market import Floats

EG_RATE = 0.05
UNIVERSAL_DRAWS = 2_000
SEED = 1991


def buy_and_hold(relatives: Floats) -> Floats:
    """Return the drifting weights of equal shares bought once (UBAH)."""
    grown = np.cumprod(relatives, axis=0)
    before = np.vstack([np.ones(relatives.shape[1]), grown[:-1]])
    held: Floats = before / before.sum(axis=1, keepdims=True)
    return held


def constant(relatives: Floats, weights: Floats | None = None) -> Floats:
    """Return the same weights every day, equal ones by default (CRP, UCRP)."""
    count = relatives.shape[1]
    chosen = np.full(count, 1.0 / count) if weights is None else weights
    return np.tile(chosen, (len(relatives), 1))


def best_constant(relatives: Floats) -> Floats:
    """Return the constant weights `[n]` with the greatest wealth in hindsight (BCRP).

    Maximises Σ log(b·x) on the simplex. Source: T. Cover, Universal Portfolios, Mathematical
    Finance 1(1), 1991.
    """
    # Takes a second to import, and only this needs it.
    from scipy.optimize import minimize

    count = relatives.shape[1]

    def loss(weights: Floats) -> tuple[float, Floats]:
        day = relatives @ weights
        return -float(np.log(day).mean()), -(relatives / day[:, None]).mean(axis=0)

    found = minimize(
        loss,
        np.full(count, 1.0 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(count)},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    weights = np.maximum(found.x, 0.0)
    chosen: Floats = weights / weights.sum()
    return chosen


def exponentiated_gradient(relatives: Floats, rate: float = EG_RATE) -> Floats:
    """Return the weights of multiplicative updates, wᵢ ∝ wᵢ·exp(η·xᵢ/(w·x)) (EG).

    Source: D. Helmbold, R. Schapire, Y. Singer, M. Warmuth, On-Line Portfolio Selection Using
    Multiplicative Updates, Mathematical Finance 8(4), 1998.
    """
    held = np.empty_like(relatives)
    weights = np.full(relatives.shape[1], 1.0 / relatives.shape[1])
    for at, day in enumerate(relatives):
        held[at] = weights
        weights = weights * np.exp(rate * day / float(day @ weights))
        weights = weights / weights.sum()
    return held


def universal(relatives: Floats, draws: int = UNIVERSAL_DRAWS, seed: int = SEED) -> Floats:
    """Return the mean of constant portfolios, each weighed by its wealth so far.

    Of two assets the mixture is a grid in steps of 0.05, as Cover computed it (Universal
    Portfolios, 1991); of more, `draws` uniform points of the simplex (A. Kalai, S. Vempala 2002
    prove sampling sound), the same for the same seed.
    """
    mixture = _mixture(relatives.shape[1], draws, seed)
    held = np.empty_like(relatives)
    log_wealth = np.zeros(len(mixture))
    for at, day in enumerate(relatives):
        share = np.exp(log_wealth - log_wealth.max())
        held[at] = share @ mixture / share.sum()
        log_wealth += np.log(mixture @ day)
    return held


def _mixture(count: int, draws: int, seed: int) -> Floats:
    if count == 2:
        first = np.linspace(0.0, 1.0, 21)
        return np.column_stack([first, 1.0 - first])
    return np.random.default_rng(seed).dirichlet(np.ones(count), draws)
