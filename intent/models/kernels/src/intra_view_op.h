// The operators of intra-view attention.
#pragma once

#include "op_helpers.h"

namespace {

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

}  // namespace

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

REGISTER_KERNEL_BUILDER(Name("IntentIntraView").Device(DEVICE_CPU), IntraView);
REGISTER_KERNEL_BUILDER(Name("IntentIntraViewGrad").Device(DEVICE_CPU), IntraViewGrad);
