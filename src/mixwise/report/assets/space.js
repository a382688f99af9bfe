// The mixtures that are allowed: shares that sum to 1, between bounds, within linear limits.

const CLOSE = 1e-8; // shares are rounded to 1e-9 each

class Space {
  constructor(data) {
    this.n = data.domains.length;
    this.lower = data.lower;
    this.upper = data.upper;
    this.limits = data.limits;
  }

  /** How far a mixture is outside, at most; 0 within. */
  missedBy(shares) {
    let worst = Math.abs(shares.reduce((sum, share) => sum + share, 0) - 1);
    shares.forEach((share, k) => {
      worst = Math.max(worst, this.lower[k] - share, share - this.upper[k]);
    });
    for (const limit of this.limits) {
      const value = dot(shares, limit.coefficients);
      if (limit.least !== null) worst = Math.max(worst, limit.least - value);
      if (limit.most !== null) worst = Math.max(worst, value - limit.most);
    }
    return worst;
  }

  contains(shares) {
    return this.missedBy(shares) <= CLOSE;
  }

  /** From a mixture to one where a domain has a share, or as near it as is allowed. */
  withShare(shares, index, wanted, locked) {
    const free = shares.map((_, k) => k !== index && !locked.has(k));
    const kept = shares.reduce((sum, share, k) => (k === index || free[k] ? sum : sum + share), 0);
    const range = (bound) => bound.reduce((sum, value, k) => (free[k] ? sum + value : sum), 0);
    const least = Math.max(this.lower[index], 1 - kept - range(this.upper));
    const most = Math.min(this.upper[index], 1 - kept - range(this.lower));
    if (least > most + CLOSE) return shares;
    const share = Math.min(Math.max(wanted, least), Math.max(most, least));
    const moved = this.spread(shares, free, index, share, 1 - kept - share);
    return this.contains(moved) ? moved : this.nearest(shares, moved, free);
  }

  /** Scale the free shares to a sum, each within its bounds; those at zero grow last. */
  spread(shares, free, index, share, rest) {
    const scaled = (factor) =>
      shares.map((value, k) => (free[k] ? this.clip(k, value * factor) : value));
    const sum = (values) => values.reduce((all, value, k) => (free[k] ? all + value : all), 0);
    let values = scaled(bisect((factor) => sum(scaled(factor)), rest, 1e6));
    const lacking = rest - sum(values);
    if (Math.abs(lacking) > CLOSE) {
      const from = values;
      const added = (t) => from.map((value, k) => (free[k] ? this.clip(k, value + t) : value));
      values = added(bisect((t) => sum(added(t)), rest, 1));
    }
    values[index] = share;
    return values;
  }

  clip(k, value) {
    return Math.min(Math.max(value, this.lower[k]), this.upper[k]);
  }

  /** As `wanted` but within the limits: the others give way, or the move ends where it must. */
  nearest(before, wanted, free) {
    let shares = wanted;
    for (let round = 0; round < 200 && !this.contains(shares); round += 1) {
      for (const limit of this.limits) shares = this.intoLimit(shares, limit, free);
      shares = this.intoSimplex(shares, free);
    }
    return this.contains(shares) ? shares : this.along(before, wanted);
  }

  intoLimit(shares, limit, free) {
    const value = dot(shares, limit.coefficients);
    let away = 0;
    if (limit.least !== null) away = Math.max(limit.least - value, 0);
    if (limit.most !== null && value > limit.most) away = limit.most - value;
    const length = limit.coefficients.reduce((sum, c, k) => (free[k] ? sum + c * c : sum), 0);
    if (away === 0 || length === 0) return shares;
    const step = (away * (1 + 1e-6)) / length;
    return shares.map((share, k) => (free[k] ? share + step * limit.coefficients[k] : share));
  }

  intoSimplex(shares, free) {
    const kept = shares.reduce((sum, share, k) => (free[k] ? sum : sum + share), 0);
    const shifted = (t) => shares.map((share, k) => (free[k] ? this.clip(k, share + t) : share));
    const sum = (values) => values.reduce((all, value, k) => (free[k] ? all + value : all), 0);
    return shifted(bisect((t) => sum(shifted(t)), 1 - kept, 2, -2));
  }

  /** The last allowed mixture on the way from an allowed one. */
  along(before, wanted) {
    const between = (t) => before.map((share, k) => share + t * (wanted[k] - share));
    let low = 0;
    let high = 1;
    for (let round = 0; round < 60; round += 1) {
      const middle = (low + high) / 2;
      if (this.contains(between(middle))) low = middle;
      else high = middle;
    }
    return between(low);
  }
}

/** Where a rising function reaches a target, or the end that is nearest to it. */
function bisect(rising, target, end, start = 0) {
  let low = start;
  let high = end;
  if (rising(low) >= target) return low;
  if (rising(high) <= target) return high;
  for (let round = 0; round < 200; round += 1) {
    const middle = (low + high) / 2;
    if (rising(middle) < target) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
