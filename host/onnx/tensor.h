/* From a TensorProto of the stripped copy to a view of its elements. */
#ifndef CLV_ONNX_TENSOR_H
#define CLV_ONNX_TENSOR_H

#include "host/base/arena.h"
#include "host/ir/tensor.h"
#include "host/onnx/external.h"
#include "onnx/onnx.pb-c.h"

/* Where elements come from and go to. */
typedef struct clv_tensor_source {
    const uint8_t *data; /* the whole file, which blobs point into */
    size_t bytes;
    clv_arena *arena;        /* for what cannot be used in place */
    clv_externals *external; /* NULL: external data is refused */
} clv_tensor_source;

/* Elements stay in the file where their bytes there are what memory would hold, else they are
 * decoded into the arena. Messages start at what is wrong: the caller adds the tensor's name. */
clv_status *clv_onnx_tensor_view(
    const clv_tensor_source *source, const Onnx__TensorProto *tensor,
    clv_view *out_view) CLV_CHECKED;

/* UNSUPPORTED (naming the type) or MALFORMED where cleave's tensors cannot have this element type.
 */
clv_status *clv_onnx_dtype(int32_t code, clv_dtype *out_dtype) CLV_CHECKED;

#endif
