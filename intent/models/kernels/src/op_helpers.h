// What every operator needs: the kernels of this processor, outputs, threads, checks.
#pragma once

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
