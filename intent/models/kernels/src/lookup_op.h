// The operators of the embedding: sums of rows of many tables.
#pragma once

#include "op_helpers.h"

namespace {

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

}  // namespace

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

#define LOOKUP(type)                                                                          \
  REGISTER_KERNEL_BUILDER(Name("IntentLookup").Device(DEVICE_CPU).TypeConstraint<type>("id"), \
                          Lookup<type>);                                                      \
  REGISTER_KERNEL_BUILDER(                                                                    \
      Name("IntentLookupGrad").Device(DEVICE_CPU).TypeConstraint<type>("id"), LookupGrad<type>)
LOOKUP(uint8_t);
LOOKUP(uint16_t);
LOOKUP(int32_t);
