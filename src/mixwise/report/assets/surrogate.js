// The surrogate of every metric, evaluated as Python evaluates it.
//
// x: shares less the uniform mixture.  u = x·x_i.  A process is
//   mean + Σ_i α_i k(x, x_i) + Σ_i β_i·∂k/∂x_i ,
//   k = σ² (10 + u + a₂u²/2 + a₃ exp(−|x − x_i|²/2ℓ²)),
// and, where it has an asymptote c, the metric is c + exp of that. The deviation follows from the
// points and the kernel; its matrix is made when it is first asked for.

const PLANE = [10, 1];
const JITTER = 1e-9;
const PENALTY = 10; // of the objective, for a spread by which a floor is missed
const TWO_SIDED = 1.96;
const SMALLEST = 1e-9; // share, in the divergence from a prior

/** Read numbers that were packed as base64 of little-endian doubles. */
function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float64Array(bytes.buffer);
}

function dot(a, b, offset = 0) {
  let sum = 0;
  for (let k = 0; k < a.length; k += 1) sum += a[k] * b[offset + k];
  return sum;
}

function squaredDistance(a, b, offset) {
  let sum = 0;
  for (let k = 0; k < a.length; k += 1) sum += (a[k] - b[offset + k]) ** 2;
  return sum;
}

function centred(shares) {
  return Float64Array.from(shares, (share) => share - 1 / shares.length);
}

/** One process: its value at centred shares. */
function processValue(process, points, x) {
  const n = x.length;
  const { curvature, remainder, length } = process.kernel;
  const square = length * length;
  const rows = process.values.length;
  let total = 0;
  for (let i = 0; i < rows; i += 1) {
    const u = dot(x, points, i * n);
    const near = remainder * Math.exp(-squaredDistance(x, points, i * n) / (2 * square));
    total += process.values[i] * (PLANE[0] + PLANE[1] * u + (curvature * u * u) / 2 + near);
    const place = process.places[i];
    if (place >= 0) {
      const along = dot(x, process.slopes, place * n);
      total += (PLANE[1] + curvature * u) * along;
      total += (near * (along - process.own[place])) / square;
    }
  }
  return process.mean + total;
}

/** A process times its factor, the warp undone. */
function processMean(process, points, x) {
  const value = processValue(process, points, x);
  if (process.asymptote === null) return process.factor * value;
  return process.factor * (process.asymptote + Math.exp(Math.min(Math.max(value, -50), 50)));
}

/** Orthonormal directions along the simplex, one array of n per direction. */
function tangents(n) {
  const rows = [];
  for (let k = 1; k < n; k += 1) {
    const row = new Float64Array(n);
    const scale = 1 / Math.sqrt(k * (k + 1));
    for (let i = 0; i < k; i += 1) row[i] = scale;
    row[k] = -k * scale;
    rows.push(row);
  }
  return rows;
}

/** Covariances of a point's value with all rows: values, then slopes of the sloped points. */
function covarianceRow(process, z, points) {
  const d = z.length;
  const { curvature, remainder, length } = process.kernel;
  const n = process.values.length;
  const row = new Float64Array(n + process.sloped.length * d);
  for (let i = 0; i < n; i += 1) {
    const u = dot(z, points, i * d);
    const near = remainder * Math.exp(-squaredDistance(z, points, i * d) / (2 * length * length));
    row[i] = PLANE[0] + PLANE[1] * u + (curvature * u * u) / 2 + near;
    const place = process.places[i];
    if (place < 0) continue;
    const rise = PLANE[1] + curvature * u;
    const pull = near / (length * length);
    for (let b = 0; b < d; b += 1) {
      row[n + place * d + b] = rise * z[b] + pull * (z[b] - points[i * d + b]);
    }
  }
  return row;
}

/** Covariances of the slopes of a sloped point with all rows, as d rows. */
function slopeRows(process, index, points, d) {
  const { curvature, remainder, length } = process.kernel;
  const square = length * length;
  const n = process.values.length;
  const z = points.subarray(index * d, (index + 1) * d);
  const rows = Array.from({ length: d }, () => new Float64Array(n + process.sloped.length * d));
  for (let j = 0; j < n; j += 1) {
    const right = points.subarray(j * d, (j + 1) * d);
    const u = dot(z, right);
    const pull = (remainder * Math.exp(-squaredDistance(z, right, 0) / (2 * square))) / square;
    const rise = PLANE[1] + curvature * u;
    const place = process.places[j];
    for (let a = 0; a < d; a += 1) {
      rows[a][j] = rise * right[a] - pull * (z[a] - right[a]);
      if (place < 0) continue;
      for (let b = 0; b < d; b += 1) {
        let both = curvature * right[a] * z[b];
        both -= (pull / square) * (z[a] - right[a]) * (z[b] - right[b]);
        if (a === b) both += rise + pull;
        rows[a][n + place * d + b] = both;
      }
    }
  }
  return rows;
}

/** The lower factor of the covariance of all rows; row i has i + 1 numbers. */
function factorise(process, points, d) {
  const rows = [];
  for (let i = 0; i < process.values.length; i += 1) {
    rows.push(covarianceRow(process, points.subarray(i * d, (i + 1) * d), points));
  }
  for (const index of process.sloped) rows.push(...slopeRows(process, index, points, d));
  rows.forEach((row, i) => {
    row[i] += process.kernel.noise + JITTER;
  });
  const lower = [];
  for (let i = 0; i < rows.length; i += 1) {
    const own = new Float64Array(i + 1);
    for (let j = 0; j <= i; j += 1) {
      const other = j === i ? own : lower[j];
      let sum = rows[i][j];
      for (let k = 0; k < j; k += 1) sum -= own[k] * other[k];
      own[j] = j === i ? Math.sqrt(sum) : sum / other[j];
    }
    lower.push(own);
  }
  return lower;
}

/** Σ v² of the solution of L v = row. */
function explained(lower, row) {
  const solved = new Float64Array(row.length);
  let sum = 0;
  for (let i = 0; i < row.length; i += 1) {
    let left = row[i];
    for (let k = 0; k < i; k += 1) left -= lower[i][k] * solved[k];
    solved[i] = left / lower[i][i];
    sum += solved[i] * solved[i];
  }
  return sum;
}

/** Everything that the page predicts of a mixture. */
class Surrogate {
  constructor(data) {
    this.n = data.domains.length;
    this.metrics = data.metrics;
    this.aggregation = data.aggregation;
    this.missed = data.missed;
    this.prior = data.prior;
    this.seeds = data.final_seeds;
    this.error = data.error ?? 0;
    this.points = unpack(data.points).map((share) => share - 1 / this.n);
    this.factors = new Map();
    for (const metric of this.metrics) metric.processes.forEach((one) => this.prepare(one));
    const basis = tangents(this.n);
    this.basis = basis;
    const d = this.n - 1;
    const rows = this.points.length / this.n;
    this.tangential = new Float64Array(rows * d);
    for (let i = 0; i < rows; i += 1) {
      for (let k = 0; k < d; k += 1) {
        this.tangential[i * d + k] = dot(basis[k], this.points, i * this.n);
      }
    }
    this.hasDeviations = this.work() <= data.most_work;
    for (const name of ["known", "linear", "quadratic"]) {
      this.missed[name] = unpack(this.missed[name]);
    }
  }

  prepare(process) {
    process.values = unpack(process.values);
    process.slopes = unpack(process.slopes);
    process.places = new Int32Array(process.values.length).fill(-1);
    process.sloped.forEach((point, place) => {
      process.places[point] = place;
    });
    process.own = process.sloped.map((point, place) => {
      const slope = process.slopes.subarray(place * this.n, (place + 1) * this.n);
      return dot(slope, this.points, point * this.n);
    });
    process.key = JSON.stringify([process.kernel, process.sloped]);
  }

  /** Multiplications that the factors of all processes take. */
  work() {
    const sizes = new Map();
    for (const metric of this.metrics) {
      for (const one of metric.processes) {
        sizes.set(one.key, one.values.length + one.sloped.length * (this.n - 1));
      }
    }
    return [...sizes.values()].reduce((sum, size) => sum + size ** 3 / 6, 0);
  }

  /** Expected value of a metric by the proxy. */
  value(metric, shares) {
    const x = centred(shares);
    return metric.processes.reduce((sum, one) => sum + processMean(one, this.points, x), 0);
  }

  /** Standard deviation of the surrogate; 0 where the page would take too long to say. */
  deviation(metric, shares) {
    if (!this.hasDeviations) return 0;
    const x = centred(shares);
    const z = Float64Array.from(this.basis, (row) => dot(row, x));
    return Math.hypot(...metric.processes.map((one) => this.processDeviation(one, x, z)));
  }

  processDeviation(process, x, z) {
    if (!this.factors.has(process.key)) {
      this.factors.set(process.key, factorise(process, this.tangential, this.n - 1));
    }
    const u = dot(z, z);
    const { curvature, remainder } = process.kernel;
    const prior = PLANE[0] + PLANE[1] * u + (curvature * u * u) / 2 + remainder;
    const row = covarianceRow(process, z, this.tangential);
    const left = prior - explained(this.factors.get(process.key), row);
    const spread = Math.sqrt(process.variance * Math.max(left, 0)) * process.factor;
    if (process.asymptote === null) return spread;
    return spread * (processMean({ ...process, factor: 1 }, this.points, x) - process.asymptote);
  }

  gain(metric, value) {
    if (!(metric.spread > 0)) return 0;
    return (sign(metric) * (value - metric.base)) / metric.spread;
  }

  /** The objective of metric values, in the order of the metrics; of one group, or of all. */
  objective(values, group = null) {
    let total = 0;
    let weights = 0;
    let least = Infinity;
    let lost = 0;
    this.metrics.forEach((metric, k) => {
      const gain = this.gain(metric, values[k]);
      if (metric.floor !== null && metric.spread > 0) {
        lost += Math.max(this.gain(metric, metric.floor) - gain, 0);
      }
      if (!(metric.spread > 0 && metric.weight > 0)) return;
      if (group !== null && metric.group !== group) return;
      total += metric.weight * gain;
      weights += metric.weight;
      least = Math.min(least, gain);
    });
    const gains = this.aggregation === "worst" ? least : total / weights;
    return gains - PENALTY * lost;
  }

  values(shares) {
    return this.metrics.map((metric) => this.value(metric, shares));
  }

  /** The objective that training should reach, from the metrics that it reads alone. */
  height(shares, valueOf = (metric) => this.value(metric, shares)) {
    const isRead = (metric) => metric.weight > 0 || metric.floor !== null;
    const values = this.metrics.map((metric) => (isRead(metric) ? valueOf(metric) : metric.base));
    return this.objective(values) + this.discrepancy(shares).mean;
  }

  /** What leaving the prior takes off the objective where mixtures are compared. */
  taken(shares) {
    if (this.prior === null) return 0;
    const { shares: near, weight } = this.prior;
    const part = (share, k) =>
      Math.max(share, 0) * Math.log(Math.max(share, SMALLEST) / near[k]);
    return weight * shares.reduce((sum, share, k) => sum + part(share, k), 0);
  }

  /** What training is expected to give besides the proxy's score, and its deviation. */
  discrepancy(shares) {
    const { known, linear, quadratic, own, size, single, level } = this.missed;
    const n = this.n;
    const m = known.length / n;
    const features = new Float64Array(2 * m + 1);
    for (let j = 0; j < m; j += 1) {
      const other = known.subarray(j * n, (j + 1) * n);
      features[j] = priorCovariance(shares, other, own);
      features[m + j] = dot(shares, other);
    }
    features[2 * m] = 1;
    let variance = size * priorCovariance(shares, shares, own) + single * dot(shares, shares);
    variance += level;
    for (let i = 0; i < features.length; i += 1) {
      variance += features[i] * dot(features, quadratic, i * features.length);
    }
    return { mean: dot(features, linear), deviation: Math.sqrt(Math.max(variance, 0)) };
  }

  /** Deviation of the objective that the surrogate itself adds. */
  objectiveDeviation(values, deviations) {
    const terms = this.metrics
      .map((metric, k) => ({ metric, gain: this.gain(metric, values[k]), deviation: deviations[k] }))
      .filter(({ metric }) => metric.spread > 0 && metric.weight > 0);
    const inGains = ({ metric, deviation }) => deviation / metric.spread;
    if (this.aggregation === "worst") {
      return inGains(terms.reduce((worst, term) => (term.gain < worst.gain ? term : worst)));
    }
    const weights = terms.reduce((sum, { metric }) => sum + metric.weight, 0);
    return Math.hypot(...terms.map((term) => (term.metric.weight * inGains(term)) / weights));
  }

  /**
   * Metrics, and the objective that training on a mixture should reach, with its interval. The
   * surrogate's part is its posterior and what it missed of mixtures that were left out.
   */
  predict(shares) {
    const values = this.values(shares);
    const deviations = this.metrics.map((metric) => this.deviation(metric, shares));
    const proxy = this.objective(values);
    const missed = this.discrepancy(shares);
    const noise = this.missed.noise / Math.sqrt(this.seeds);
    const own = this.objectiveDeviation(values, deviations);
    const half = TWO_SIDED * Math.hypot(missed.deviation, noise, own, this.error);
    const expected = proxy + missed.mean;
    const halves = this.metrics.map((metric, k) =>
      this.hasDeviations || metric.error !== null
        ? TWO_SIDED * Math.hypot(deviations[k], metric.error ?? 0)
        : null,
    );
    const compared = expected - this.taken(shares);
    const [low, high] = [expected - half, expected + half];
    return { values, halves, proxy, expected, compared, low, high };
  }
}

function sign(metric) {
  return metric.direction === "max" ? 1 : -1;
}

/** Prior covariance of what the proxy misses, over its size. */
function priorCovariance(left, right, own) {
  const n = left.length;
  const products = Float64Array.from(left, (share, k) => share * right[k]);
  const sum = products.reduce((all, value) => all + value, 0);
  const pairs = (sum * sum - dot(products, products)) / 2;
  const atUniform = (n * (n - 1)) / 2 / n ** 4;
  return (1 - own) * evenness(left) * evenness(right) + (own * pairs) / atUniform;
}

function evenness(shares) {
  return (1 - dot(shares, shares)) / (1 - 1 / shares.length);
}
