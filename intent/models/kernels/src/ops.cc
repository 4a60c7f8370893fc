// TensorFlow's operators over the kernels: checks, memory, and the split over threads.
//
// Letters as in kernels.h. Every operator gives the same bits for any number of threads.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "absl/strings/str_join.h"
#include "kernels.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

namespace {

using tensorflow::DEVICE_CPU;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::errors::InvalidArgument;
using tensorflow::shape_inference::InferenceContext;

#ifdef HAVE_X86
// Whether there are tiles for bfloat16, and Linux lets this process use them.
bool allowed_amx() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  bool tiles = (d >> 22 & 1) && (d >> 24 & 1);
  if (!tiles || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1)) return false;
  const int ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}
#endif

// The best instruction set that this processor has, or the one that INTENT_KERNELS names.
const Kernels& kernels() {
  static const Kernels* best = [] {
    const char* named = std::getenv("INTENT_KERNELS");
    std::string wanted = named ? named : "";
    bool any = wanted != "amx" && wanted != "avx512" && wanted != "avx2" && wanted != "baseline";
#ifdef HAVE_X86
    __builtin_cpu_init();
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx512 && kernels_amx && (any || wanted == "amx") && allowed_amx()) return kernels_amx();
    if (avx512 && (any || wanted[0] == 'a' && wanted != "avx2")) return kernels_avx512();
    if (avx2 && (any || wanted != "baseline")) return kernels_avx2();
#endif
    return kernels_baseline();
  }();
  return *best;
}

const float* in(OpKernelContext* context, int i) { return context->input(i).flat<float>().data(); }

float* out(OpKernelContext* context, int i, const TensorShape& shape) {
  Tensor* tensor = nullptr;
  auto status = context->allocate_output(i, shape, &tensor);
  if (!status.ok()) {
    context->SetStatus(status);
    return nullptr;
  }
  return tensor->flat<float>().data();
}

// Call work(first, last) over parts of [0, total), by TensorFlow's own threads.
template <class Work>
void in_parallel(OpKernelContext* context, int64_t total, int64_t cost, Work work) {
  auto* threads = context->device()->tensorflow_cpu_worker_threads();
  tensorflow::Shard(threads->num_threads, threads->workers, total, cost, work);
}

bool check_lengths(OpKernelContext* context, const int32_t* lengths, int batch, int length) {
  for (int b = 0; b < batch; ++b)
    if (lengths[b] < 0 || lengths[b] > length) {
      context->SetStatus(InvalidArgument("group ", b, " has ", lengths[b],
                                         " actions in a window of ", length));
      return false;
    }
  return true;
}

// Whether input i has this shape; if not, that is the operator's error.
bool has_shape(OpKernelContext* context, int i, const TensorShape& shape) {
  const TensorShape& got = context->input(i).shape();
  if (got == shape) return true;
  context->SetStatus(InvalidArgument(context->op_kernel().type_string(), " got input ", i, " as ",
                                     got.DebugString(), ", expected ", shape.DebugString()));
  return false;
}

// Memory that nothing has written to: kernels read no scratch that they did not write.
std::unique_ptr<float[]> unwritten(size_t size) {
  return std::unique_ptr<float[]>(new float[size]);
}

#define REQUIRE(condition, ...) OP_REQUIRES(context, condition, InvalidArgument(__VA_ARGS__))

// ---------------------------------------------------------------------------- the bidirectional GRU

struct GruInputs {
  GruCall call;
  GruWeights weights;
  std::vector<int32_t> order;
  int tiles;
  std::vector<float> packed;

  bool read(OpKernelContext* context, bool reset_after) {
    const Tensor& x = context->input(0);
    const Tensor& kernel = context->input(2);
    const Tensor& recurrent = context->input(3);
    if (x.dims() != 3 || kernel.dims() != 2 || recurrent.dims() != 2 ||
        context->input(1).NumElements() != x.dim_size(0) || kernel.dim_size(0) != x.dim_size(2) ||
        recurrent.dim_size(1) != 3 * recurrent.dim_size(0) ||
        kernel.dim_size(1) != recurrent.dim_size(1)) {
      context->SetStatus(InvalidArgument("a Bi-GRU got actions ", x.shape().DebugString(),
                                         ", lengths ", context->input(1).shape().DebugString(),
                                         ", kernel ", kernel.shape().DebugString(), ", recurrent ",
                                         recurrent.shape().DebugString()));
      return false;
    }
    call.batch = x.dim_size(0);
    call.length = x.dim_size(1);
    call.inputs = x.dim_size(2);
    call.units = recurrent.dim_size(0);
    call.reset_after = reset_after;
    call.actions = in(context, 0);
    call.lengths = context->input(1).flat<int32_t>().data();
    if (!check_lengths(context, call.lengths, call.batch, call.length)) return false;
    for (int side = 0; side < 2; ++side) {
      for (int i = 0; i < 3; ++i) {
        const Tensor& given = context->input(2 + 3 * side + i);
        int64_t bias = (reset_after ? 6 : 3) * call.units;
        if (given.NumElements() != (i < 2 ? context->input(2 + i).NumElements() : bias)) {
          context->SetStatus(InvalidArgument("a Bi-GRU got weights ", given.shape().DebugString()));
          return false;
        }
      }
      weights.kernel[side] = in(context, 2 + 3 * side);
      weights.recurrent[side] = in(context, 3 + 3 * side);
      weights.bias[side] = in(context, 4 + 3 * side);
    }
    order.resize(call.batch);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return call.lengths[a] > call.lengths[b]; });
    call.order = order.data();
    tiles = (call.batch + kernels().gru_tile() - 1) / kernels().gru_tile();
    packed.resize(kernels().gru_packed(call.inputs, call.units));
    kernels().gru_pack(call, weights, packed.data());
    return true;
  }

  int64_t cost() const {  // of one tile, in cycles, roughly
    return int64_t{2} * kernels().gru_tile() * call.length * 3 * call.units *
           (call.inputs + call.units) / kernels().lanes;
  }
};

class BiGru : public OpKernel {
 public:
  explicit BiGru(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("reset_after", &reset_after_));
  }

  void Compute(OpKernelContext* context) override {
    GruInputs it;
    if (!it.read(context, reset_after_)) return;
    GruCall& call = it.call;
    call.h = out(context, 0, {call.batch, call.length, 2 * call.units});
    call.last[0] = out(context, 1, {call.batch, call.units});
    call.last[1] = out(context, 2, {call.batch, call.units});
    if (!context->status().ok()) return;
    in_parallel(context, it.tiles, it.cost(), [&](int64_t first, int64_t last) {
      auto scratch = unwritten(kernels().gru_scratch(call.inputs, call.units));
      for (int64_t tile = first; tile < last; ++tile) {
        int from = tile * kernels().gru_tile();
        int count = std::min(kernels().gru_tile(), call.batch - from);
        kernels().gru_forward(call, it.packed.data(), from, count, scratch.get());
      }
    });
  }

 private:
  bool reset_after_;
};

class BiGruGrad : public OpKernel {
 public:
  explicit BiGruGrad(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("reset_after", &reset_after_));
  }

  // Inputs: those of BiGru, h, and the gradients of h and of both last states.
  void Compute(OpKernelContext* context) override {
    GruInputs it;
    if (!it.read(context, reset_after_)) return;
    GruCall& call = it.call;
    TensorShape all = {call.batch, call.length, 2 * call.units}, last = {call.batch, call.units};
    if (!has_shape(context, 8, all) || !has_shape(context, 9, all) ||
        !has_shape(context, 10, last) || !has_shape(context, 11, last))
      return;
    call.h = const_cast<float*>(in(context, 8));
    const float* dh = in(context, 9);
    const float* dlast[2] = {in(context, 10), in(context, 11)};
    float* dactions = out(context, 0, context->input(0).shape());
    GruGradients gradients;
    for (int side = 0; side < 2; ++side) {
      int at = 3 * side;
      gradients.kernel[side] = out(context, 1 + at, context->input(2 + at).shape());
      gradients.recurrent[side] = out(context, 2 + at, context->input(3 + at).shape());
      gradients.bias[side] = out(context, 3 + at, context->input(4 + at).shape());
    }
    if (!context->status().ok()) return;
    size_t partial = kernels().gru_partial(call.inputs, call.units);
    std::vector<float> partials(partial * it.tiles);
    in_parallel(context, it.tiles, 3 * it.cost(), [&](int64_t first, int64_t last) {
      auto scratch = unwritten(kernels().gru_scratch(call.inputs, call.units));
      for (int64_t tile = first; tile < last; ++tile) {
        int from = tile * kernels().gru_tile();
        int count = std::min(kernels().gru_tile(), call.batch - from);
        kernels().gru_backward(call, it.packed.data(), from, count, dh, dlast, dactions,
                               partials.data() + tile * partial, scratch.get());
      }
    });
    kernels().gru_sum(call, partials.data(), it.tiles, gradients);
  }

 private:
  bool reset_after_;
};

// ------------------------------------------------------------------------------ intra-view attention

float scale_of(bool by_length, int n) { return by_length ? n : 1; }

// Whether h, lengths and current fit together: the first inputs of both operators.
bool check_intra_view(OpKernelContext* context) {
  const Tensor &h = context->input(0), &lengths = context->input(1), &current = context->input(2);
  if (h.dims() != 3 || lengths.NumElements() != h.dim_size(0) ||
      current.NumElements() != h.dim_size(0) * h.dim_size(2)) {
    context->SetStatus(InvalidArgument("intra-view attention got h ", h.shape().DebugString(),
                                       ", lengths ", lengths.shape().DebugString(),
                                       " and current ", current.shape().DebugString()));
    return false;
  }
  return check_lengths(context, lengths.flat<int32_t>().data(), h.dim_size(0), h.dim_size(1));
}

class IntraView : public OpKernel {
 public:
  explicit IntraView(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("by_length", &by_length_));
  }

  void Compute(OpKernelContext* context) override {
    if (!check_intra_view(context)) return;
    const Tensor& h = context->input(0);
    int batch = h.dim_size(0), length = h.dim_size(1), width = h.dim_size(2);
    const int32_t* lengths = context->input(1).flat<int32_t>().data();
    const float *states = in(context, 0), *current = in(context, 2);
    float* v = out(context, 0, h.shape());
    float* weights = out(context, 1, {batch, length});
    if (!context->status().ok()) return;
    in_parallel(context, batch, length * width, [&](int64_t first, int64_t last) {
      for (int64_t b = first; b < last; ++b) {
        int n = lengths[b];
        size_t at = b * length * width;
        if (n > 0)
          kernels().intra_view_forward(states + at, n, width, current + b * width,
                                       scale_of(by_length_, n), weights + b * length, v + at);
        std::fill(weights + b * length + n, weights + (b + 1) * length, 0.f);
        std::fill(v + at + n * width, v + at + length * width, 0.f);
      }
    });
  }

 private:
  bool by_length_;
};

class IntraViewGrad : public OpKernel {
 public:
  explicit IntraViewGrad(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("by_length", &by_length_));
  }

  // Inputs: those of IntraView, the attention weights, and the gradient of v.
  void Compute(OpKernelContext* context) override {
    if (!check_intra_view(context)) return;
    const Tensor& h = context->input(0);
    int batch = h.dim_size(0), length = h.dim_size(1), width = h.dim_size(2);
    if (!has_shape(context, 3, {batch, length}) || !has_shape(context, 4, h.shape())) return;
    const int32_t* lengths = context->input(1).flat<int32_t>().data();
    const float *states = in(context, 0), *current = in(context, 2), *weights = in(context, 3);
    const float* dv = in(context, 4);
    float* dh = out(context, 0, h.shape());
    float* dcurrent = out(context, 1, context->input(2).shape());
    if (!context->status().ok()) return;
    in_parallel(context, batch, 2 * length * width, [&](int64_t first, int64_t last) {
      for (int64_t b = first; b < last; ++b) {
        int n = lengths[b];
        size_t at = b * length * width;
        kernels().intra_view_backward(states + at, n, width, current + b * width,
                                      scale_of(by_length_, n), weights + b * length, dv + at,
                                      dh + at, dcurrent + b * width);
        std::fill(dh + at + n * width, dh + at + length * width, 0.f);
      }
    });
  }

 private:
  bool by_length_;
};

// ------------------------------------------------------------------------------ inter-view attention

int64_t inter_view_cost(int length, int width) {
  return int64_t{8} * length * length * width / kernels().lanes;
}

size_t inter_view_scratch(int length, int width, bool bfloat16) {
  return bfloat16 ? kernels().inter_view_bf16_scratch(length, width)
                  : kernels().inter_view_scratch(length, width);
}

// Whether both views and their lengths fit together: the first inputs of both operators.
bool check_inter_view(OpKernelContext* context) {
  const TensorShape &v = context->input(0).shape(), &u = context->input(2).shape();
  if (v.dims() != 3 || v != u || context->input(1).NumElements() != v.dim_size(0) ||
      context->input(3).NumElements() != v.dim_size(0)) {
    context->SetStatus(InvalidArgument("inter-view attention got ", v.DebugString(), " and ",
                                       u.DebugString(), ", lengths ",
                                       context->input(1).shape().DebugString(), " and ",
                                       context->input(3).shape().DebugString()));
    return false;
  }
  for (int i : {1, 3})
    if (!check_lengths(context, context->input(i).flat<int32_t>().data(), v.dim_size(0),
                       v.dim_size(1)))
      return false;
  return true;
}

class InterView : public OpKernel {
 public:
  explicit InterView(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("coarse", &bfloat16_));
    bfloat16_ = bfloat16_ && kernels().inter_view_forward_bf16;
  }

  void Compute(OpKernelContext* context) override {
    if (!check_inter_view(context)) return;
    const Tensor& v = context->input(0);
    int batch = v.dim_size(0), length = v.dim_size(1), width = v.dim_size(2);
    const int32_t* of_v = context->input(1).flat<int32_t>().data();
    const int32_t* of_u = context->input(3).flat<int32_t>().data();
    const float *views[2] = {in(context, 0), in(context, 2)};
    float* r = out(context, 0, v.shape());
    float* a = out(context, 1, v.shape());
    float* c = out(context, 2, v.shape());
    if (!context->status().ok()) return;
    auto forward = bfloat16_ ? kernels().inter_view_forward_bf16 : kernels().inter_view_forward;
    in_parallel(context, batch, inter_view_cost(length, width), [&](int64_t first, int64_t last) {
      auto scratch = unwritten(inter_view_scratch(length, width, bfloat16_));
      for (int64_t b = first; b < last; ++b) {
        bool swap = of_v[b] > of_u[b];  // the kernel wants the shorter view first
        int p = std::min(of_v[b], of_u[b]), q = std::max(of_v[b], of_u[b]);
        size_t at = b * length * width;
        if (p > 0)
          forward(views[swap] + at, p, views[!swap] + at, q, width, a + at, c + at, r + at,
                  scratch.get());
        for (float* to : {r, a, c}) std::fill(to + at + p * width, to + at + length * width, 0.f);
      }
    });
  }

 private:
  bool bfloat16_;
};

class InterViewGrad : public OpKernel {
 public:
  explicit InterViewGrad(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("coarse", &bfloat16_));
    bfloat16_ = bfloat16_ && kernels().inter_view_backward_bf16;
  }

  // Inputs: those of InterView, a, c, and the gradient of r.
  void Compute(OpKernelContext* context) override {
    if (!check_inter_view(context)) return;
    const Tensor& v = context->input(0);
    for (int i : {4, 5, 6})
      if (!has_shape(context, i, v.shape())) return;
    int batch = v.dim_size(0), length = v.dim_size(1), width = v.dim_size(2);
    const int32_t* of_v = context->input(1).flat<int32_t>().data();
    const int32_t* of_u = context->input(3).flat<int32_t>().data();
    const float *views[2] = {in(context, 0), in(context, 2)};
    const float *a = in(context, 4), *c = in(context, 5), *dr = in(context, 6);
    float* d[2] = {out(context, 0, v.shape()), out(context, 1, v.shape())};
    if (!context->status().ok()) return;
    auto backward = bfloat16_ ? kernels().inter_view_backward_bf16 : kernels().inter_view_backward;
    int64_t cost = 3 * inter_view_cost(length, width);
    in_parallel(context, batch, cost, [&](int64_t first, int64_t last) {
      auto scratch = unwritten(inter_view_scratch(length, width, bfloat16_));
      for (int64_t b = first; b < last; ++b) {
        bool swap = of_v[b] > of_u[b];
        int p = std::min(of_v[b], of_u[b]), q = std::max(of_v[b], of_u[b]);
        size_t at = b * length * width, end = at + length * width;
        if (p > 0)
          backward(views[swap] + at, p, views[!swap] + at, q, width, a + at, c + at, dr + at,
                   d[swap] + at, d[!swap] + at, scratch.get());
        std::fill(d[swap] + at + p * width, d[swap] + end, 0.f);
        std::fill(d[!swap] + at + (p > 0 ? q : 0) * width, d[!swap] + end, 0.f);
      }
    });
  }

 private:
  bool bfloat16_;
};

// ---------------------------------------------------------------------- sums of rows of many tables

// Whether `starts`, where each feature's table begins in the one that holds them all (F + 1
// numbers), fits these ids.
bool check_tables(OpKernelContext* context, const std::vector<int32_t>& starts, int marker) {
  const Tensor& ids = context->input(0);
  bool fits = ids.dims() == 3 && (int64_t)starts.size() == ids.dim_size(2) + 1 && starts[0] == 0 &&
              std::is_sorted(starts.begin(), starts.end()) && marker >= 0 &&
              marker < ids.dim_size(2);
  if (!fits)
    context->SetStatus(InvalidArgument("an embedding got ids ", ids.shape().DebugString(),
                                       " and marker ", marker, " for tables that begin at ",
                                       absl::StrJoin(starts, ", ")));
  return fits;
}

// Whether no id was `wrong`: the place of one that its table does not have, or below 0.
template <class Id>
bool check_ids(OpKernelContext* context, const std::vector<int32_t>& starts, int64_t wrong) {
  if (wrong < 0) return true;
  int64_t f = wrong % context->input(0).dim_size(2);
  int64_t id = context->input(0).flat<Id>()(wrong);
  context->SetStatus(InvalidArgument("feature ", f, " has the id ", id, ", but its table has ",
                                     starts[f + 1] - starts[f], " rows"));
  return false;
}

template <class Id>
class Lookup : public OpKernel {
 public:
  explicit Lookup(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("starts", &starts_));
    OP_REQUIRES_OK(context, context->GetAttr("marker", &marker_));
  }

  void Compute(OpKernelContext* context) override {
    if (!check_tables(context, starts_, marker_)) return;
    const Tensor& ids = context->input(0);
    int64_t features = ids.dim_size(2), positions = ids.dim_size(0) * ids.dim_size(1);
    int64_t width = context->input(2).NumElements();
    if (!has_shape(context, 1, {starts_.back(), width})) return;
    const Id* id = ids.flat<Id>().data();
    const float *rows = in(context, 1), *bias = in(context, 2);
    float* sums = out(context, 0, {ids.dim_size(0), ids.dim_size(1), width});
    if (!context->status().ok()) return;
    std::atomic<int64_t> wrong(-1);
    in_parallel(context, positions, features * width / 4, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const Id* of = id + i * features;
        float* sum = sums + i * width;
        if (of[marker_] == 0) {
          std::fill(sum, sum + width, 0.f);
          continue;
        }
        std::copy(bias, bias + width, sum);
        for (int64_t f = 0; f < features; ++f) {
          int64_t row = starts_[f] + int64_t{of[f]};
          if (row >= starts_[f + 1] || row < starts_[f]) {
            wrong = i * features + f;
            continue;
          }
          if (of[f] != 0) kernels().lookup_add(rows + row * width, width, sum);
        }
        for (int64_t j = 0; j < width; ++j) sum[j] = sum[j] < 0 ? 0 : sum[j];  // NaN stays NaN
      }
    });
    check_ids<Id>(context, starts_, wrong);
  }

 private:
  std::vector<int32_t> starts_;
  int marker_;
};

template <class Id>
class LookupGrad : public OpKernel {
 public:
  explicit LookupGrad(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("starts", &starts_));
    OP_REQUIRES_OK(context, context->GetAttr("marker", &marker_));
  }

  // Inputs: ids, the actions that came out, and their gradient.
  void Compute(OpKernelContext* context) override {
    if (!check_tables(context, starts_, marker_)) return;
    const Tensor& ids = context->input(0);
    int64_t features = ids.dim_size(2), positions = ids.dim_size(0) * ids.dim_size(1);
    int64_t width = context->input(1).dims() == 3 ? context->input(1).dim_size(2) : 0;
    TensorShape shape = {ids.dim_size(0), ids.dim_size(1), width};
    if (!has_shape(context, 1, shape) || !has_shape(context, 2, shape)) return;
    const Id* id = ids.flat<Id>().data();
    const float *actions = in(context, 1), *given = in(context, 2);
    float* drows = out(context, 0, {starts_.back(), width});
    float* dbias = out(context, 1, {width});
    if (!context->status().ok()) return;
    auto d = unwritten(positions * width);
    in_parallel(context, positions, width / 2, [&](int64_t first, int64_t last) {
      for (int64_t i = first * width; i < last * width; ++i) d[i] = actions[i] > 0 ? given[i] : 0;
    });
    std::atomic<int64_t> wrong(-1);
    // One task for each feature, since no two share a table, and one for the bias.
    in_parallel(context, features + 1, positions * width / 4, [&](int64_t first, int64_t last) {
      for (int64_t f = first; f < last; ++f) {
        if (f == features) {
          std::vector<double> sum(width);
          for (int64_t i = 0; i < positions; ++i)
            if (id[i * features + marker_] != 0)
              for (int64_t j = 0; j < width; ++j) sum[j] += d[i * width + j];
          std::copy(sum.begin(), sum.end(), dbias);
          continue;
        }
        float* table = drows + starts_[f] * width;
        std::fill(table, drows + starts_[f + 1] * width, 0.f);
        for (int64_t i = 0; i < positions; ++i) {
          const Id* of = id + i * features;
          if (of[marker_] == 0 || of[f] == 0) continue;
          if (of[f] < 0 || of[f] >= starts_[f + 1] - starts_[f]) {
            wrong = i * features + f;
            continue;
          }
          kernels().lookup_add(d.get() + i * width, width, table + int64_t{of[f]} * width);
        }
      }
    });
    check_ids<Id>(context, starts_, wrong);
  }

 private:
  std::vector<int32_t> starts_;
  int marker_;
};

class Abilities : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    Tensor *lanes = nullptr, *bfloat16 = nullptr;
    OP_REQUIRES_OK(context, context->allocate_output(0, {}, &lanes));
    OP_REQUIRES_OK(context, context->allocate_output(1, {}, &bfloat16));
    lanes->scalar<int32_t>()() = kernels().lanes;
    bfloat16->scalar<bool>()() = kernels().inter_view_forward_bf16 != nullptr;
  }
};

auto unknown = [](InferenceContext* c) {
  for (int i = 0; i < c->num_outputs(); ++i) c->set_output(i, c->UnknownShape());
  return absl::OkStatus();
};

// Fails where input i has another rank; a graph may know no rank yet.
absl::Status has_rank(InferenceContext* c, int i, int rank) {
  tensorflow::shape_inference::ShapeHandle same;
  return c->WithRank(c->input(i), rank, &same);
}

}  // namespace

// How many floats a vector holds, and whether there are products in bfloat16.
REGISTER_OP("IntentAbilities").Output("lanes: int32").Output("bfloat16: bool").SetShapeFn(
    [](InferenceContext* c) {
      c->set_output(0, c->Scalar());
      c->set_output(1, c->Scalar());
      return absl::OkStatus();
    });

REGISTER_OP("IntentBiGru")
    .Input("actions: float")
    .Input("lengths: int32")
    .Input("kernel_f: float")
    .Input("recurrent_f: float")
    .Input("bias_f: float")
    .Input("kernel_b: float")
    .Input("recurrent_b: float")
    .Input("bias_b: float")
    .Output("h: float")
    .Output("last_f: float")
    .Output("last_b: float")
    .Attr("reset_after: bool")
    .SetShapeFn([](InferenceContext* c) {
      TF_RETURN_IF_ERROR(has_rank(c, 0, 3));
      TF_RETURN_IF_ERROR(has_rank(c, 3, 2));
      auto batch = c->Dim(c->input(0), 0), length = c->Dim(c->input(0), 1);
      auto units = c->Dim(c->input(3), 0);
      tensorflow::shape_inference::DimensionHandle both;
      TF_RETURN_IF_ERROR(c->Multiply(units, 2, &both));
      c->set_output(0, c->MakeShape({batch, length, both}));
      c->set_output(1, c->MakeShape({batch, units}));
      c->set_output(2, c->MakeShape({batch, units}));
      return absl::OkStatus();
    });

REGISTER_OP("IntentBiGruGrad")
    .Input("actions: float")
    .Input("lengths: int32")
    .Input("kernel_f: float")
    .Input("recurrent_f: float")
    .Input("bias_f: float")
    .Input("kernel_b: float")
    .Input("recurrent_b: float")
    .Input("bias_b: float")
    .Input("h: float")
    .Input("dh: float")
    .Input("dlast_f: float")
    .Input("dlast_b: float")
    .Output("dactions: float")
    .Output("dkernel_f: float")
    .Output("drecurrent_f: float")
    .Output("dbias_f: float")
    .Output("dkernel_b: float")
    .Output("drecurrent_b: float")
    .Output("dbias_b: float")
    .Attr("reset_after: bool")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      for (int i = 0; i < 6; ++i) c->set_output(1 + i, c->input(2 + i));
      return absl::OkStatus();
    });

REGISTER_OP("IntentIntraView")
    .Input("h: float")
    .Input("lengths: int32")
    .Input("current: float")
    .Output("v: float")
    .Output("weights: float")
    .Attr("by_length: bool")
    .SetShapeFn([](InferenceContext* c) {
      TF_RETURN_IF_ERROR(has_rank(c, 0, 3));
      c->set_output(0, c->input(0));
      c->set_output(1, c->MakeShape({c->Dim(c->input(0), 0), c->Dim(c->input(0), 1)}));
      return absl::OkStatus();
    });

REGISTER_OP("IntentIntraViewGrad")
    .Input("h: float")
    .Input("lengths: int32")
    .Input("current: float")
    .Input("weights: float")
    .Input("dv: float")
    .Output("dh: float")
    .Output("dcurrent: float")
    .Attr("by_length: bool")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      c->set_output(1, c->input(2));
      return absl::OkStatus();
    });

REGISTER_OP("IntentInterView")
    .Input("v: float")
    .Input("v_lengths: int32")
    .Input("u: float")
    .Input("u_lengths: int32")
    .Output("r: float")
    .Output("a: float")
    .Output("c: float")
    .Attr("coarse: bool")
    .SetShapeFn([](InferenceContext* c) {
      for (int i = 0; i < 3; ++i) c->set_output(i, c->input(0));
      return absl::OkStatus();
    });

REGISTER_OP("IntentInterViewGrad")
    .Input("v: float")
    .Input("v_lengths: int32")
    .Input("u: float")
    .Input("u_lengths: int32")
    .Input("a: float")
    .Input("c: float")
    .Input("dr: float")
    .Output("dv: float")
    .Output("du: float")
    .Attr("coarse: bool")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      c->set_output(1, c->input(2));
      return absl::OkStatus();
    });

REGISTER_OP("IntentLookup")
    .Input("ids: id")
    .Input("rows: float")
    .Input("bias: float")
    .Output("actions: float")
    .Attr("id: {uint8, uint16, int32}")
    .Attr("starts: list(int)")
    .Attr("marker: int")
    .SetShapeFn([](InferenceContext* c) {
      TF_RETURN_IF_ERROR(has_rank(c, 0, 3));
      TF_RETURN_IF_ERROR(has_rank(c, 1, 2));
      c->set_output(0, c->MakeShape({c->Dim(c->input(0), 0), c->Dim(c->input(0), 1),
                                     c->Dim(c->input(1), 1)}));
      return absl::OkStatus();
    });

REGISTER_OP("IntentLookupGrad")
    .Input("ids: id")
    .Input("actions: float")
    .Input("dactions: float")
    .Output("drows: float")
    .Output("dbias: float")
    .Attr("id: {uint8, uint16, int32}")
    .Attr("starts: list(int)")
    .Attr("marker: int")
    .SetShapeFn(unknown);

REGISTER_KERNEL_BUILDER(Name("IntentAbilities").Device(DEVICE_CPU), Abilities);
REGISTER_KERNEL_BUILDER(Name("IntentBiGru").Device(DEVICE_CPU), BiGru);
REGISTER_KERNEL_BUILDER(Name("IntentBiGruGrad").Device(DEVICE_CPU), BiGruGrad);
REGISTER_KERNEL_BUILDER(Name("IntentIntraView").Device(DEVICE_CPU), IntraView);
REGISTER_KERNEL_BUILDER(Name("IntentIntraViewGrad").Device(DEVICE_CPU), IntraViewGrad);
REGISTER_KERNEL_BUILDER(Name("IntentInterView").Device(DEVICE_CPU), InterView);
REGISTER_KERNEL_BUILDER(Name("IntentInterViewGrad").Device(DEVICE_CPU), InterViewGrad);

#define LOOKUP(type)                                                                          \
  REGISTER_KERNEL_BUILDER(Name("IntentLookup").Device(DEVICE_CPU).TypeConstraint<type>("id"), \
                          Lookup<type>);                                                      \
  REGISTER_KERNEL_BUILDER(                                                                    \
      Name("IntentLookupGrad").Device(DEVICE_CPU).TypeConstraint<type>("id"), LookupGrad<type>)
LOOKUP(uint8_t);
LOOKUP(uint16_t);
LOOKUP(int32_t);
