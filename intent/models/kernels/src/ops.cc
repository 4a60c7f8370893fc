// TensorFlow's operators over the kernels: checks, memory, and the split over threads.
//
// Letters as in kernels.h. Every operator gives the same bits for any number of threads. One
// file to compile, since TensorFlow's headers take longer than all that is ours.
#include "gru_op.h"
#include "inter_view_op.h"
#include "intra_view_op.h"
#include "lookup_op.h"

namespace {

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

}  // namespace

// How many floats a vector holds, and whether there are products in bfloat16.
REGISTER_OP("IntentAbilities").Output("lanes: int32").Output("bfloat16: bool").SetShapeFn(
    [](InferenceContext* c) {
      c->set_output(0, c->Scalar());
      c->set_output(1, c->Scalar());
      return absl::OkStatus();
    });

REGISTER_KERNEL_BUILDER(Name("IntentAbilities").Device(DEVICE_CPU), Abilities);
