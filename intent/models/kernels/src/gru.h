// The bidirectional GRU: equation (1) and section 4.2, over the real actions alone.
//
// Letters: A width of an action, D units, P (`wide`) D rounded up to whole vectors, R groups of a
// tile, T steps of a chunk. The gates z, r and candidate lie P apart in a row of 3P.
//
// A tile's groups are sorted by falling length, so that at every step the ones still running are its
// first. A backward direction reads each group from its own last action: no padding moves a state.
#pragma once

#include "gemm.h"

enum { TILE = 16, CHUNK = 8, SLOTS = TILE * CHUNK };

static inline int gru_tile() { return TILE; }

// One direction's weights with whole vectors in a row, and their transposes for the way back.
struct GruPacked {
  const float *w, *u, *wt, *ut, *bias, *rec_bias;

  static size_t size(int inputs, int units) {
    size_t wide = padded(units), in = padded(inputs);
    return 3 * wide * (inputs + units) + 3 * wide * (in + wide) + 6 * wide;
  }
  GruPacked(const float* at, int inputs, int units) {
    size_t wide = padded(units), in = padded(inputs);
    w = at;
    u = w + 3 * wide * inputs;
    wt = u + 3 * wide * units;
    ut = wt + 3 * wide * in;
    bias = ut + 3 * wide * wide;
    rec_bias = bias + 3 * wide;
  }
};

static size_t gru_packed(int inputs, int units) { return 2 * GruPacked::size(inputs, units); }

static void gru_pack(const GruCall& call, const GruWeights& weights, float* packed) {
  int A = call.inputs, D = call.units, P = padded(D), in = padded(A);
  clear(packed, gru_packed(A, D));
  for (int side = 0; side < 2; ++side) {
    GruPacked to(packed + side * GruPacked::size(A, D), A, D);
    for (int gate = 0; gate < 3; ++gate) {
      for (int j = 0; j < D; ++j) {
        int from = gate * D + j, at = gate * P + j;
        for (int i = 0; i < A; ++i) {
          float x = weights.kernel[side][i * 3 * D + from];
          const_cast<float*>(to.w)[i * 3 * P + at] = x;
          const_cast<float*>(to.wt)[at * in + i] = x;
        }
        for (int i = 0; i < D; ++i) {
          float x = weights.recurrent[side][i * 3 * D + from];
          const_cast<float*>(to.u)[i * 3 * P + at] = x;
          const_cast<float*>(to.ut)[at * P + i] = x;
        }
        const_cast<float*>(to.bias)[at] = weights.bias[side][from];
        if (call.reset_after) const_cast<float*>(to.rec_bias)[at] = weights.bias[side][3 * D + from];
      }
    }
  }
}

static size_t gru_scratch(int inputs, int units) {
  size_t wide = padded(units), in = padded(inputs);
  return SLOTS * (in + 2 * wide + 12 * wide + in) + 4 * TILE * wide;
}

// Where a direction's step s lies in group b's window.
static inline size_t gru_place(const GruCall& call, int b, int step, bool backward) {
  int n = call.lengths[b];
  return (size_t)b * call.length + (backward ? n - 1 - step : step);
}

// Both gates and the candidate of one group at one step, from x W (in g) and h U (in q).
//
// g becomes z, r, candidate; q's third becomes h U + its bias. With reset_after=false the third of q
// is not known before r is, so `gru_gates` is called without it, and then `gru_candidate`.
static inline void gru_gates(const GruPacked& of, int P, float* g, const float* q) {
  for (int j = 0; j < 2 * P; j += LANES)
    store(g + j, sigmoid(load(g + j) + load(q + j) + load(of.bias + j) + load(of.rec_bias + j)));
}

static inline void gru_candidate(const GruPacked& of, int P, bool reset_after, float* g, float* q) {
  for (int j = 0; j < P; j += LANES) {
    Vec state = load(q + 2 * P + j);
    if (reset_after) {
      state += load(of.rec_bias + 2 * P + j);
      store(q + 2 * P + j, state);
      state = state * load(g + P + j);
    }
    float* at = g + 2 * P + j;
    store(at, hyperbolic_tangent(load(at) + load(of.bias + 2 * P + j) + state));
  }
}

// Gates and candidates of `rows` rows: actions x [rows, A] and states before them [rows, P].
// `reset` [rows, P] receives r * state where reset_after is false.
static inline void gru_rows(const GruCall& call, const GruPacked& of, int rows, const float* x,
                            const float* state, float* g, float* q, float* reset) {
  int A = call.inputs, D = call.units, P = padded(D), G = 3 * P;
  gemm(rows, G, A, x, A, 1, of.w, G, g, G);
  gemm(rows, call.reset_after ? G : 2 * P, D, state, P, 1, of.u, G, q, G);
  for (int i = 0; i < rows; ++i) gru_gates(of, P, g + i * G, q + i * G);
  if (!call.reset_after) {
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < P; j += LANES)
        store(reset + i * P + j, load(g + i * G + P + j) * load(state + i * P + j));
    gemm(rows, P, D, reset, P, 1, of.u + 2 * P, G, q + 2 * P, G);
  }
  for (int i = 0; i < rows; ++i) gru_candidate(of, P, call.reset_after, g + i * G, q + i * G);
}

static void gru_forward(const GruCall& call, const float* packed, int first, int count,
                        float* scratch) {
  int A = call.inputs, D = call.units, P = padded(D), G = 3 * P;
  const int32_t* group = call.order + first;
  float* x = scratch;
  float* state = x + TILE * padded(A);
  float* reset = state + TILE * P;
  float* g = reset + TILE * P;
  float* q = g + TILE * G;
  for (int side = 0; side < 2; ++side) {
    GruPacked of(packed + side * GruPacked::size(A, D), A, D);
    clear(state, TILE * P);
    int running = count;
    for (int step = 0; running > 0; ++step) {
      while (running > 0 && call.lengths[group[running - 1]] <= step) --running;
      for (int i = 0; i < running; ++i)
        memcpy(x + i * A, call.actions + gru_place(call, group[i], step, side) * A, A * 4);
      if (running > 0) gru_rows(call, of, running, x, state, g, q, reset);
      for (int i = 0; i < running; ++i) {
        for (int j = 0; j < P; j += LANES) {
          Vec z = load(g + i * G + j), old = load(state + i * P + j);
          store(state + i * P + j, z * old + (1.f - z) * load(g + i * G + 2 * P + j));
        }
        float* to = call.h + gru_place(call, group[i], step, side) * 2 * D + side * D;
        memcpy(to, state + i * P, D * 4);
      }
    }
    for (int i = 0; i < count; ++i) memcpy(call.last[side] + group[i] * D, state + i * P, D * 4);
  }
  for (int i = 0; i < count; ++i) {
    size_t n = call.lengths[group[i]];
    clear(call.h + ((size_t)group[i] * call.length + n) * 2 * D, (call.length - n) * 2 * D);
  }
}

// One tile's sums of the weights' gradients: per direction [A + D + 2 rows, 3P].
static size_t gru_partial(int inputs, int units) {
  return 2 * (size_t)(inputs + units + 2) * 3 * padded(units);
}

// Back through one step: from dh [i, P], the gradient of the state after the step, to `din` and `drec`
// (of x W and of h U) and to what of dh goes past the weights. With reset_after=false the third of
// drec is left to the caller.
static inline void gru_step_back(int P, bool reset_after, const float* g, const float* q,
                                 const float* old, float* dh, float* din, float* drec) {
  for (int j = 0; j < P; j += LANES) {
    Vec z = load(g + j), r = load(g + P + j), c = load(g + 2 * P + j), d = load(dh + j);
    Vec dz = d * (load(old + j) - c) * z * (1.f - z);
    Vec dc = d * (1.f - z) * (1.f - c * c);
    store(din + j, dz);
    store(drec + j, dz);
    store(din + 2 * P + j, dc);
    if (reset_after) {
      Vec dr = dc * load(q + 2 * P + j) * r * (1.f - r);
      store(din + P + j, dr);
      store(drec + P + j, dr);
      store(drec + 2 * P + j, dc * r);
    }
    store(dh + j, d * z);
  }
}

static void gru_backward(const GruCall& call, const float* packed, int first, int count,
                         const float* dh_out, const float* const* dlast, float* dactions,
                         float* partial, float* scratch) {
  int A = call.inputs, D = call.units, P = padded(D), G = 3 * P, in = padded(A);
  const int32_t* group = call.order + first;
  float* x = scratch;                   // [SLOTS, A]
  float* old = x + SLOTS * in;          // [SLOTS, P], the state before each step
  float* reset = old + SLOTS * P;       // [SLOTS, P]
  float* g = reset + SLOTS * P;         // [SLOTS, 3P]
  float* q = g + SLOTS * G;             // [SLOTS, 3P]
  float* din = q + SLOTS * G;           // [SLOTS, 3P]
  float* drec = din + SLOTS * G;        // [SLOTS, 3P]
  float* dx = drec + SLOTS * G;         // [SLOTS, in]
  float* dh = dx + SLOTS * in;          // [TILE, P]
  float* dreset = dh + TILE * P;        // [TILE, P]
  clear(partial, gru_partial(A, D));
  for (int i = 0; i < count; ++i)
    clear(dactions + (size_t)group[i] * call.length * A, (size_t)call.length * A);
  int longest = count ? call.lengths[group[0]] : 0;
  for (int side = 0; side < 2; ++side) {
    GruPacked of(packed + side * GruPacked::size(A, D), A, D);
    float* dw = partial + side * (size_t)(A + D + 2) * G;
    float* du = dw + A * G;
    float* db = du + D * G;
    clear(dh, TILE * P);
    for (int end = longest; end > 0;) {
      int begin = (end - 1) / CHUNK * CHUNK, slots = (end - begin) * TILE;
      clear(x, slots * A);
      clear(old, slots * P);
      for (int step = begin; step < end; ++step)
        for (int i = 0; i < count && call.lengths[group[i]] > step; ++i) {
          int slot = (step - begin) * TILE + i;
          memcpy(x + slot * A, call.actions + gru_place(call, group[i], step, side) * A, A * 4);
          if (step > 0)
            memcpy(old + slot * P,
                   call.h + gru_place(call, group[i], step - 1, side) * 2 * D + side * D, D * 4);
        }
      gru_rows(call, of, slots, x, old, g, q, reset);
      clear(din, slots * G);
      clear(drec, slots * G);
      for (int step = end - 1; step >= begin; --step) {
        int running = 0;
        while (running < count && call.lengths[group[running]] > step) ++running;
        if (running == 0) continue;
        size_t at = (step - begin) * TILE;
        for (int i = 0; i < running; ++i) {
          int b = group[i];
          const float* from = dh_out + gru_place(call, b, step, side) * 2 * D + side * D;
          for (int j = 0; j < D; ++j) dh[i * P + j] += from[j];
          if (step == call.lengths[b] - 1)
            for (int j = 0; j < D; ++j) dh[i * P + j] += dlast[side][b * D + j];
          size_t slot = at + i;
          gru_step_back(P, call.reset_after, g + slot * G, q + slot * G, old + slot * P, dh + i * P,
                        din + slot * G, drec + slot * G);
        }
        if (call.reset_after) {
          gemm(running, P, G, drec + at * G, G, 1, of.ut, P, dh, P, true);
          continue;
        }
        // The candidate read r * h: its gradient goes to r and, through r, to h.
        gemm(running, P, P, din + at * G + 2 * P, G, 1, of.ut + 2 * P * P, P, dreset, P);
        for (int i = 0; i < running; ++i)
          for (int j = 0; j < P; j += LANES) {
            size_t slot = at + i;
            Vec r = load(g + slot * G + P + j), d = load(dreset + i * P + j);
            Vec dr = d * load(old + slot * P + j) * r * (1.f - r);
            store(din + slot * G + P + j, dr);
            store(drec + slot * G + P + j, dr);
            store(dh + i * P + j, load(dh + i * P + j) + d * r);
          }
        gemm(running, P, 2 * P, drec + at * G, G, 1, of.ut, P, dh, P, true);
      }
      gemm(slots, in, G, din, G, 1, of.wt, in, dx, in);
      for (int step = begin; step < end; ++step)
        for (int i = 0; i < count && call.lengths[group[i]] > step; ++i) {
          const float* from = dx + ((step - begin) * TILE + i) * in;
          float* to = dactions + gru_place(call, group[i], step, side) * A;
          for (int j = 0; j < A; ++j) to[j] += from[j];
        }
      gemm(A, G, slots, x, 1, A, din, G, dw, G, true);
      if (call.reset_after) {
        gemm(D, G, slots, old, 1, P, drec, G, du, G, true);
      } else {
        gemm(D, 2 * P, slots, old, 1, P, drec, G, du, G, true);
        gemm(D, P, slots, reset, 1, P, din + 2 * P, G, du + 2 * P, G, true);
      }
      for (int slot = 0; slot < slots; ++slot)
        for (int j = 0; j < G; j += LANES) {
          store(db + j, load(db + j) + load(din + slot * G + j));
          store(db + G + j, load(db + G + j) + load(drec + slot * G + j));
        }
      end = begin;
    }
  }
}

// The tiles' sums, added in the order of the tiles: the same bits for any number of threads.
static void gru_sum(const GruCall& call, const float* partials, int tiles, const GruGradients& to) {
  int A = call.inputs, D = call.units, P = padded(D), G = 3 * P;
  for (int side = 0; side < 2; ++side) {
    clear(to.kernel[side], (size_t)A * 3 * D);
    clear(to.recurrent[side], (size_t)D * 3 * D);
    clear(to.bias[side], (size_t)(call.reset_after ? 6 : 3) * D);
    for (int tile = 0; tile < tiles; ++tile) {
      const float* from = partials + tile * gru_partial(A, D) + side * (size_t)(A + D + 2) * G;
      for (int gate = 0; gate < 3; ++gate)
        for (int j = 0; j < D; ++j) {
          int column = gate * P + j, at = gate * D + j;
          for (int i = 0; i < A; ++i) to.kernel[side][i * 3 * D + at] += from[i * G + column];
          for (int i = 0; i < D; ++i)
            to.recurrent[side][i * 3 * D + at] += from[(A + i) * G + column];
          to.bias[side][at] += from[(A + D) * G + column];
          if (call.reset_after) to.bias[side][3 * D + at] += from[(A + D + 1) * G + column];
        }
    }
  }
}
