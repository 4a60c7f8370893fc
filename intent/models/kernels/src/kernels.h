// What each instruction set's file gives, and what the operators of TensorFlow call.
//
// Letters: B groups, N positions of a window, A width of an action, D units of one GRU direction,
// W width of a state, F features. A window's first lengths[b] positions are real.
#pragma once

#include <cstddef>
#include <cstdint>

// The bidirectional GRU of one window. Weights and gradients: [forward, backward].
struct GruWeights {
  const float* kernel[2];     // [A, 3D], gates z, r, candidate
  const float* recurrent[2];  // [D, 3D]
  const float* bias[2];       // [2, 3D] (of the action, of the state) with reset_after, else [3D]
};

struct GruGradients {
  float* kernel[2];
  float* recurrent[2];
  float* bias[2];
};

struct GruCall {
  int batch, length, inputs, units;
  bool reset_after;
  const float* actions;    // [B, N, A]
  const int32_t* lengths;  // [B]
  const int32_t* order;    // [B], groups by falling length
  float* h;                // [B, N, 2D]
  float* last[2];          // [B, D]
};

struct Kernels {
  int lanes;

  // Groups that one call of the GRU's functions takes, and its scratch in floats.
  int (*gru_tile)();
  size_t (*gru_packed)(int inputs, int units);
  size_t (*gru_scratch)(int inputs, int units);
  size_t (*gru_partial)(int inputs, int units);
  void (*gru_pack)(const GruCall&, const GruWeights&, float* packed);
  void (*gru_forward)(const GruCall&, const float* packed, int first, int count, float* scratch);
  void (*gru_backward)(const GruCall&, const float* packed, int first, int count, const float* dh,
                       const float* const* dlast, float* dactions, float* partial, float* scratch);
  void (*gru_sum)(const GruCall&, const float* partials, int tiles, const GruGradients&);

  size_t (*inter_view_scratch)(int length, int width);
  void (*inter_view_forward)(const float* v, int p, const float* u, int q, int width, float* a,
                             float* c, float* r, float* scratch);
  void (*inter_view_backward)(const float* v, int p, const float* u, int q, int width, const float* a,
                              const float* c, const float* dr, float* dv, float* du, float* scratch);

  void (*intra_view_forward)(const float* h, int n, int width, const float* current, float scale,
                             float* weights, float* v);
  void (*intra_view_backward)(const float* h, int n, int width, const float* current, float scale,
                              const float* weights, const float* dv, float* dh, float* dcurrent);

  void (*lookup_add)(const float* row, int width, float* sum);

  // The same with products in bfloat16; null where the processor has no unit for them.
  size_t (*inter_view_bf16_scratch)(int length, int width);
  void (*inter_view_forward_bf16)(const float* v, int p, const float* u, int q, int width, float* a,
                                  float* c, float* r, float* scratch);
  void (*inter_view_backward_bf16)(const float* v, int p, const float* u, int q, int width,
                                   const float* a, const float* c, const float* dr, float* dv,
                                   float* du, float* scratch);
};

const Kernels* kernels_baseline();
#ifdef HAVE_X86
const Kernels* kernels_avx2();
const Kernels* kernels_avx512();
const Kernels* kernels_amx() __attribute__((weak));  // null where the compiler is too old for it
#endif
