// The operators of inter-view attention.
#pragma once

#include "op_helpers.h"

namespace {

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

}  // namespace

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

REGISTER_KERNEL_BUILDER(Name("IntentInterView").Device(DEVICE_CPU), InterView);
REGISTER_KERNEL_BUILDER(Name("IntentInterViewGrad").Device(DEVICE_CPU), InterViewGrad);
