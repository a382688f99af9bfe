// The best mixture by the surrogate, where metrics may get worse by so much and no more.
//
// Share is moved between two domains at a time, by steps that are halved when none of them helps.
// A mixture that breaks fewer of the wishes wins; among equals, the one with the larger goal.

const FIRST_STEP = 0.25;
const LAST_STEP = 1e-4;
const MOST_MOVES = 400; // at each step
const N_PROMISING = 5; // domains that are tried first; all are before a step is given up

/** What a mixture is worth: by how much it breaks the wishes, and the goal. */
function worth(surrogate, goal, wishes, shares) {
  const values = new Map();
  const valueOf = (metric) => {
    if (!values.has(metric)) values.set(metric, surrogate.value(metric, shares));
    return values.get(metric);
  };
  let broken = 0;
  for (const { metric, worst } of wishes) {
    const unit = metric.spread > 0 ? metric.spread : 1;
    broken += Math.max((sign(metric) * (worst - valueOf(metric))) / unit, 0);
  }
  const pulled = () => surrogate.height(shares, valueOf) - surrogate.taken(shares);
  const height = goal ? sign(goal) * valueOf(goal) : pulled();
  return { broken: broken > 1e-9 ? broken : 0, height };
}

function isBetter(one, other) {
  if (one.broken !== other.broken) return one.broken < other.broken;
  return one.height > other.height + 1e-12;
}

/** Climb from a mixture; shares of locked domains stay. */
function climb(surrogate, space, goal, wishes, start, locked) {
  const free = start.map((_, k) => k).filter((k) => !locked.has(k));
  const worthOf = (shares) => worth(surrogate, goal, wishes, shares);
  let best = { shares: start, worth: worthOf(start) };
  for (let step = FIRST_STEP; step >= LAST_STEP; step /= 2) {
    for (let move = 0; move < MOST_MOVES; move += 1) {
      const [ups, downs] = promising(best.shares, free, worthOf);
      const better =
        bestMove(space, worthOf, best, ups, downs, step) ??
        bestMove(space, worthOf, best, free, free, step);
      if (!better) break;
      best = better;
    }
  }
  return best;
}

/** The domains whose shares raise the goal most, and those whose shares raise it least. */
function promising(shares, free, worthOf) {
  const rows = free.map((k) => {
    const moved = [...shares];
    moved[k] += LAST_STEP;
    return { k, height: worthOf(moved).height };
  });
  rows.sort((a, b) => b.height - a.height);
  const domains = rows.map((row) => row.k);
  return [domains.slice(0, N_PROMISING), domains.slice(-N_PROMISING)];
}

function bestMove(space, worthOf, from, ups, downs, step) {
  let best = null;
  for (const up of ups) {
    for (const down of downs) {
      if (up === down) continue;
      const room = Math.min(space.upper[up] - from.shares[up], from.shares[down] - space.lower[down]);
      const moved = Math.min(step, room);
      if (moved < LAST_STEP / 2) continue;
      const shares = [...from.shares];
      shares[up] += moved;
      shares[down] -= moved;
      if (!space.contains(shares)) continue;
      const found = worthOf(shares);
      if (isBetter(found, (best ?? from).worth)) best = { shares, worth: found };
    }
  }
  return best;
}

/** The best of the climbs from several mixtures. */
function improve(surrogate, space, goal, wishes, starts, locked) {
  return starts
    .filter((start) => space.contains(start))
    .map((start) => climb(surrogate, space, goal, wishes, start, locked))
    .reduce((best, found) => (isBetter(found.worth, best.worth) ? found : best));
}
