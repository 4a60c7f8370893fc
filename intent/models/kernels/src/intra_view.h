// Intra-view attention of one group: equations (2) and (3), over the real actions alone.
#pragma once

#include "simd.h"

static inline float dot(const float* a, const float* b, int n) {
  Vec sum = Vec{};
  int j = 0;
  for (; j + LANES <= n; j += LANES) sum += load(a + j) * load(b + j);
  float rest = 0;
  for (; j < n; ++j) rest += a[j] * b[j];
  return total(sum) + rest;
}

// weights = softmax(h current), v = scale * weights * h; h and v [n, width], current = W_a h_n.
static void intra_view_forward(const float* h, int n, int width, const float* current, float scale,
                               float* weights, float* v) {
  float most = -1e30f, sum = 0;
  for (int i = 0; i < n; ++i) {
    weights[i] = dot(h + (size_t)i * width, current, width);
    most = weights[i] > most ? weights[i] : most;
  }
  for (int i = 0; i < n; i += LANES) {
    Vec x = Vec{};
    int some = n - i < LANES ? n - i : LANES;
    for (int j = 0; j < some; ++j) x[j] = weights[i + j];
    x = exponential(x - most);
    for (int j = 0; j < some; ++j) {
      weights[i + j] = x[j];
      sum += x[j];
    }
  }
  for (int i = 0; i < n; ++i) {
    weights[i] /= sum;
    float factor = weights[i] * scale;
    for (int j = 0; j < width; ++j) v[(size_t)i * width + j] = factor * h[(size_t)i * width + j];
  }
}

// The gradients of h and of `current` from that of v.
static void intra_view_backward(const float* h, int n, int width, const float* current, float scale,
                                const float* weights, const float* dv, float* dh, float* dcurrent) {
  for (int j = 0; j < width; ++j) dcurrent[j] = 0;
  float mean = 0;
  for (int i = 0; i < n; ++i) {
    float d = scale * dot(dv + (size_t)i * width, h + (size_t)i * width, width);
    dh[(size_t)i * width] = d;  // kept here until the mean is known
    mean += weights[i] * d;
  }
  for (int i = 0; i < n; ++i) {
    size_t row = (size_t)i * width;
    float ds = weights[i] * (dh[row] - mean), factor = weights[i] * scale;
    for (int j = 0; j < width; ++j) {
      dh[row + j] = factor * dv[row + j] + ds * current[j];
      dcurrent[j] += ds * h[row + j];
    }
  }
}
