// The operators of the bidirectional GRU.
#pragma once

#include "op_helpers.h"

namespace {

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

}  // namespace

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

REGISTER_KERNEL_BUILDER(Name("IntentBiGru").Device(DEVICE_CPU), BiGru);
REGISTER_KERNEL_BUILDER(Name("IntentBiGruGrad").Device(DEVICE_CPU), BiGruGrad);
