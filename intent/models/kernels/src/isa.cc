// All kernels for one instruction set: compiled once for each, with ISA as the set's name.
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "kernels.h"

// Nothing here may be shared between the sets: the linker would keep one of them for all.
namespace {
#include "gru.h"
#include "inter_view.h"
#include "intra_view.h"
#ifdef __AMX_BF16__
#include "inter_view_bf16.h"
#endif
}  // namespace

static void lookup_add(const float* row, int width, float* sum) {
  for (int j = 0; j < width; ++j) sum[j] += row[j];
}

#define JOIN(a, b) a##b
#define NAME(isa) JOIN(kernels_, isa)

const Kernels* NAME(ISA)() {
  static const Kernels kernels = {
      LANES,         gru_tile,           gru_packed,          gru_scratch,        gru_partial,
      gru_pack,      gru_forward,        gru_backward,        gru_sum,            inter_view_scratch,
      inter_view_forward, inter_view_backward, intra_view_forward, intra_view_backward, lookup_add,
#ifdef __AMX_BF16__
      inter_view_bf16_scratch, inter_view_forward_bf16, inter_view_backward_bf16,
#endif
  };
  return &kernels;
}
